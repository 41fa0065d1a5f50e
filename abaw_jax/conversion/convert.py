"""Weights of other projects to a folder of weights, and ours to their files."""

import collections
from collections.abc import Mapping
import functools
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.checkpoints import runs, weights
from abaw_jax.conversion import config_inference, position_tables
from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.porting import weight_files
from abaw_jax.porting.layouts import registry, state_dicts


def read(
    checkpoint: pathlib.Path,
    out: pathlib.Path,
    *,
    arch: str | None = None,
    image_size: int | None = None,
    num_heads: int | None = None,
    decoder_num_heads: int | None = None,
    norm_pix: bool | None = None,
) -> list[str]:
  """Writes a folder of weights from another project's file; returns a report.

  Args:
    checkpoint: `.pth` or `.safetensors` file.
    out: folder to write.
    arch: backbone that the file must hold, such as `vit_b` or `iresnet_50`;
      None takes what it holds.
    image_size: side in pixels of the images that the model shall take; None
      keeps the file's, or what is usual.
    num_heads: attention heads; None takes those that are usual for the width.
    decoder_num_heads: likewise, of the decoder of a MAE.
    norm_pix: whether a MAE learned standardised patches; None takes what the
      arguments of the training say if the file holds them, and else True.

  Raises:
    InputError: if the file is broken, wants code executed, is of no known
      architecture or does not fit it, holds another one than `arch`, or if
      `out` holds something else.
  """
  where = str(checkpoint)
  tensors, arguments = weight_files.read(checkpoint)
  layout = registry.LAYOUTS[registry.recognise(tensors, where)]
  tensors = layout.tidy(tensors, where)
  told = layout.describe({k: x.shape for k, x in tensors.items()}, where)
  if norm_pix is None and told['name'] == 'mae':
    norm_pix = bool(arguments.get('norm_pix_loss', True))
  model = config_inference.SECTIONS[told['name']](
      told,
      where,
      num_heads=num_heads,
      decoder_num_heads=decoder_num_heads,
      norm_pix=norm_pix,
  )
  _check_arch(model, arch, where)
  tables = {} if zoo.is_convnet(model) else position_tables.fixed(model)
  shapes = _shapes(model) | {k: table.shape for k, table in tables.items()}
  rules = _rules(shapes, model, layout)
  params = state_dicts.to_ours(tensors, shapes, rules, where)
  note = 'none'
  if tables:
    params, model, note = position_tables.settle(
        params,
        model,
        dtypes={path: tensors[rules[path].name].dtype for path in tables},
        image_size=image_size or model['image_size'],
        where=where,
    )
  elif image_size:
    model['image_size'] = image_size
    _check_fits(model, params, where)
  report = {
      'mapped': len(tensors),
      'missing': [],
      'extra': [],
      'misshapen': [],
      'dtypes': _dtype_changes(tensors),
      'positions': note,
  }
  pixels = {'mean': layout.mean, 'std': layout.std}
  augment = pixels | {'crop_scale': 1.0, 'flip': False}
  card = {
      'source': checkpoint.name,
      'source_sha256': weight_files.sha256(checkpoint),
      'project': layout.source,
      'licence': layout.licence,
      'preprocessing': pixels
      | {
          'image_size': model['image_size'],
          'color_order': 'RGB',
          'resize': layout.resize,
      },
      'labels': _labels(model, layout),
      'report': report,
  }
  is_new = weights.write_folder(
      out, params, {'model': model, 'augment': augment}, card
  )
  return [
      f'{where}: {_sizes(model)}',
      *(f'{key}: {_value(value)}' for key, value in report.items()),
      f'licence: {layout.licence}',
      f'{out}: {"written" if is_new else "these weights are there already"}',
  ]


def write(origin: pathlib.Path, out: pathlib.Path) -> list[str]:
  """Writes our weights in the layout that PyTorch projects use; returns a report.

  Of a MAE everything is written, of any other model the backbone.

  Args:
    origin: workdir of a run, or a folder of weights.
    out: `.pth` or `.safetensors` file to write.

  Raises:
    InputError: if there are no such weights, or another file stands there.
  """
  model = runs.read_config(origin)['model']
  if model['name'] not in ('mae', 'vit', 'convnet'):
    model = zoo.backbone_section(model)
  params, source = weights.load(origin, model, param_shapes(model))
  params = _flat(jax.device_get(params))
  if not zoo.is_convnet(model):
    params = position_tables.fixed(model) | params
  layout = registry.of_model(model)
  tensors = state_dicts.to_theirs(params, _rules(params, model, layout))
  tensors = layout.complete(tensors)
  is_new = weight_files.write(out, tensors)
  return [
      f'{origin}: {_sizes(model)}; {_listing(source)}',
      f'{out}: {len(tensors)} tensors '
      f'{"written" if is_new else "are there already"}',
  ]


def param_shapes(model: Mapping[str, Any]) -> Any:
  """Returns the weights of a model of images as shapes on the first device."""
  backbone = zoo.make_backbone(model)
  size = backbone.image_size
  inputs = [jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)]
  if model['name'] == 'mae':
    noise = (1, backbone.num_patches)
    inputs.append(jax.ShapeDtypeStruct(noise, jnp.float32))
  init = functools.partial(variables.init, zoo.make_model(**model))
  shapes = jax.eval_shape(init, jax.random.key(0), *inputs)
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes
  )


def _shapes(model: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
  return {k: x.shape for k, x in _flat(param_shapes(model)).items()}


def _flat(tree: Any) -> dict[str, Any]:
  """Returns the leaves of a tree of parameters by path."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {sharding.path_name(path): leaf for path, leaf in leaves}


def _rules(paths, model, layout) -> dict[str, state_dicts.Rule]:
  return {path: layout.rule_of(path, model) for path in paths}


def _check_arch(model: Mapping[str, Any], arch: str | None, where: str) -> None:
  """Raises an InputError if the backbone is not the one that is wanted."""
  if arch is not None and model['backbone'] != arch:
    raise errors.InputError(
        f'--arch={arch}: {where} holds {model["backbone"] or "another ViT"}; '
        'leave --arch out to take what it holds'
    )


def _check_fits(model, params, where: str) -> None:
  """Raises an InputError if a network cannot take images of another size."""
  wrong = [
      path
      for path, shape in _shapes(model).items()
      if params[path].shape != shape
  ]
  if wrong:
    raise errors.InputError(
        f'--image_size={model["image_size"]}: {", ".join(wrong)} of {where} is '
        'for one size; leave it out'
    )


def _dtype_changes(tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
  """Returns how many tensors of each other type become float32."""
  names = [str(x.dtype) for x in tensors.values() if x.dtype != np.float32]
  return dict(collections.Counter(names))


def _labels(
    model: Mapping[str, Any], layout: state_dicts.Layout
) -> dict[str, Any] | None:
  """Returns what is known of the outputs of a classifier."""
  count = model.get('num_classes')
  if not count:
    return None
  unknown = 'that of the training data; the file does not tell it'
  return {'classes': count, 'order': layout.labels.get(count, unknown)}


def _sizes(model: Mapping[str, Any]) -> str:
  """Returns the sizes of a model, with the heads that no file tells."""
  backbone = zoo.make_backbone(model)
  sizes = {'width': backbone.dim}
  if not zoo.is_convnet(model):
    sizes |= {'depth': backbone.depth, 'heads': backbone.num_heads}
  for key, value in model.items():
    if key.startswith('decoder') or key in ('image_size', 'patch_size', 'pool'):
      sizes[key] = value
  return f'{model["name"]} {model["backbone"]} ({_listing(sizes)})'


def _listing(values: Mapping[str, Any]) -> str:
  return ', '.join(f'{key} {value}' for key, value in values.items())


def _value(value: Any) -> str:
  """Returns an entry of a report as text."""
  if isinstance(value, dict):
    return _listing(value) or 'all float32'
  return str(value or 'none')
