"""A bundle in memory, from the content of its files, and its checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax import faces
from abaw_jax.augmentation import augment, test_time_augmentation
from abaw_jax.bundles import networks
from abaw_jax.checkpoints import parameters
from abaw_jax.core import config_ranges, errors, files, labels
from abaw_jax.data import images
from abaw_jax.inference import embedder
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.models.multi_task import heads
from abaw_jax.postprocessing import postprocess, postprocessing_files

# A classifier's Contempt takes the place of Other, which it does not have.
_PLACES = {'Contempt': 'Other'}
_MAX_SIZE = 4096  # pixels


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Bundle:
  """A checked bundle, with its weights in host memory.

  Attributes:
    frame: from faces to features.
    networks: from features to predictions: the temporal models, or the heads of
      the frame model.
    is_temporal: whether there is a temporal model.
    feature_dim: width of the features.
    alignment: how a face is cropped.
    outputs: those of valence, arousal, expression and au that it predicts.
    expressions: names, in the order of the probabilities.
    au_names: names, in order.
    postprocessing: weights of the networks, smoothing, bias and thresholds.
    config: content of `config.json`.
    info: facts to store next to predictions, as JSON values.
  """

  frame: embedder.Embedder
  networks: tuple[networks.Network, ...]
  is_temporal: bool
  feature_dim: int
  alignment: faces.Alignment
  outputs: tuple[str, ...]
  expressions: tuple[str, ...]
  au_names: tuple[str, ...]
  postprocessing: postprocess.Postprocessing
  config: Mapping[str, Any]
  info: dict[str, Any]


def parse(
    config: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    checksums: Mapping[str, str],
    folder: files.Path,
) -> Bundle:
  """Returns the bundle of the content of its files.

  Args:
    config: of `config.json`.
    tensors: of `model.safetensors`.
    checksums: of all files, by name.
    folder: of the bundle, for messages.

  Raises:
    InputError: its parts do not fit together; starts with `folder` if it names a
      file.
    KeyError: a key is missing.
    TypeError, ValueError: a value is wrong.
  """
  names = config['labels']
  outputs = _known('outputs', names['outputs'], heads.TASK_DIMS)
  au_names = _known('aus', names['aus'], labels.AU_NAMES)
  expressions = tuple(names['expressions'])
  ids = tuple(sorted(expression_ids(expressions)))
  path = folder / 'model.safetensors'
  frame = _frame(config, _unflatten(tensors, 'frame'), path)
  members: list[networks.Network] = []
  for i, section in enumerate(config['temporal']):
    if section['feature_dim'] != frame.dim:
      raise ValueError(
          f'temporal.{i}.feature_dim is {section["feature_dim"]}, and the features '
          f'have {frame.dim} values'
      )
    params = _unflatten(tensors, f'temporal{i}')
    members.append(_temporal(section, params, ids, path))
  is_temporal = bool(members)
  used = {'frame', *(f'temporal{i}' for i in range(len(members)))}
  if extra := {name.split('/')[0] for name in tensors} - used:
    raise errors.InputError(
        f'{path}: holds parts that config.json does not name: '
        f'{errors.few(sorted(extra))}; make the bundle again'
    )
  if not is_temporal:
    members = [_heads(config['frame']['classes'], frame.params, ids)]
  postprocessing = postprocessing_files.from_json(config['postprocessing'])
  if len(postprocessing.weights['va']) != len(members):
    raise ValueError(
        f'postprocessing.weights has {len(postprocessing.weights["va"])} weights '
        f'for {len(members)} networks'
    )
  return Bundle(
      frame=frame,
      networks=tuple(members),
      is_temporal=is_temporal,
      feature_dim=frame.dim,
      alignment=faces.Alignment.from_json(
          config['alignment'], f'{folder / "config.json"}: alignment'
      ),
      outputs=outputs,
      expressions=expressions,
      au_names=au_names,
      postprocessing=postprocessing,
      config=config,
      info=_info(config, checksums),
  )


def expression_ids(names: Sequence[str]) -> list[int]:
  """Returns the column of each expression in predictions of all 8.

  Raises:
    ValueError: an expression is unknown, or two have the same column.
  """
  known = [_PLACES.get(name, name) for name in names]
  for name, place in zip(names, known, strict=True):
    if place not in labels.EXPRESSIONS:
      raise ValueError(f'labels.expressions: {name!r} is unknown')
    if known.count(place) > 1:
      raise ValueError(f'labels.expressions: {name!r} is named twice')
  return [labels.EXPRESSIONS.index(place) for place in known]


def columns(
    expressions: Sequence[str], au_names: Sequence[str]
) -> dict[str, list[int]]:
  """Returns the columns of a bundle's expressions and AUs in all predictions."""
  return {
      'expression': expression_ids(expressions),
      'au': [labels.AU_NAMES.index(name) for name in au_names],
  }


def _unflatten(tensors: Mapping[str, np.ndarray], part: str) -> dict[str, Any]:
  """Returns the tensors named `part/...` as a nested dict."""
  tree: dict[str, Any] = {}
  for name, value in tensors.items():
    first, *path = name.split('/')
    if first != part:
      continue
    node = tree
    for key in path[:-1]:
      node = node.setdefault(key, {})
    node[path[-1]] = value
  return tree


def _known(field: str, names: Sequence[str], known) -> tuple[str, ...]:
  """Returns label names; raises ValueError if one is unknown or given twice."""
  for name in names:
    if name not in known:
      raise ValueError(f'labels.{field}: {name!r} is unknown')
  if len(set(names)) < len(names):
    raise ValueError(f'labels.{field}: a name is given twice')
  return tuple(names)


def _frame(config, params, path: files.Path) -> embedder.Embedder:
  """Returns the feature extractor."""
  section = _tuples(config['frame']['model'])
  pixels = _tuples(config['preprocessing'])
  keys = ('mean', 'std', 'fit', 'filter')
  augmentation = {key: pixels[key] for key in keys}
  config_ranges.check({'model': section, 'augment': augmentation})
  views, face_size = pixels['views'], pixels['image_size']
  if type(face_size) is not int or not 1 <= face_size <= _MAX_SIZE:
    raise ValueError(f'preprocessing.image_size is {face_size!r}')
  if views not in test_time_augmentation.COUNTS:
    raise ValueError(f'preprocessing.views is {views!r}')
  model = zoo.make_model(**section)
  size = section['image_size']
  _check_shapes(
      params,
      jax.eval_shape(
          functools.partial(variables.init, model),
          jax.random.key(0),
          jnp.zeros((1, size, size, 3)),
      ),
      path,
  )
  return embedder.Embedder(
      model=model,
      params=params,
      augmentation=augment.Augmentation(
          size=size, crop_scale=1.0, flip=False, **augmentation
      ),
      outputs=tuple(config['frame']['features']),
      crops=views,
      decoding={
          'image_size': face_size,
          'resizing': images.Resizing.from_config(augmentation),
      },
      card={},
  )


def _heads(classes, params, ids) -> networks.Heads:
  """Returns the heads of a frame model without a temporal model."""
  if not {'heads', 'head'} & params.keys():
    raise ValueError(
        'there is no temporal model, and the frame model has no heads'
    )
  if classes is not None:
    classes = tuple(classes)
    width = len(params['head']['bias'])
    if len(classes) != width:
      raise ValueError(
          f'frame.classes has {len(classes)} names for {width} outputs'
      )
  params = {key: params[key] for key in ('heads', 'head') if key in params}
  return networks.Heads(params=params, expressions=ids, classes=classes)


def _temporal(section, params, ids, path: files.Path) -> networks.Temporal:
  """Returns a temporal model."""
  window, stride = section['window'], section['stride']
  if not 1 <= stride <= window:
    raise ValueError(f'temporal: stride is {stride} and window {window}')
  section = _tuples(section)
  for model in (section['model'], *section.get('below', ())):
    config_ranges.check({'model': model})
  _check_shapes(params, networks.section_shapes(section), path)
  return networks.make_temporal(
      section, params=params, expressions=ids, stride=stride
  )


def _check_shapes(params, shapes, path: files.Path) -> None:
  parameters.check_same_shapes(
      params, shapes, path, fix='copy the folder, or make the bundle, again'
  )


def _tuples(value: Any) -> Any:
  """Returns JSON values with tuples instead of lists, as in configs."""
  if isinstance(value, dict):
    return {key: _tuples(item) for key, item in value.items()}
  return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _info(config, checksums) -> dict[str, Any]:
  """Returns the facts to store next to predictions."""
  keys = ('name', 'version', 'abaw_jax', 'licence', 'labels', 'alignment')
  return {key: config[key] for key in keys} | {
      'preprocessing': config['preprocessing'],
      'provenance': config['provenance'],
      'checksums': dict(checksums),
  }
