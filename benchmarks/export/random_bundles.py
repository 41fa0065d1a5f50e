"""Bundles with random weights, for benchmarks and tests of networks."""

from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import Any

import numpy as np

EXPRESSIONS = ('Happiness', 'Neutral', 'Anger')


def write(
    folder: pathlib.Path,
    frame: Mapping[str, Any],
    temporal: Sequence[Mapping[str, Any]] = (),
    *,
    face_size: int | None = None,
    views: int = 1,
    seed: int = 0,
) -> pathlib.Path:
  """Writes a bundle and returns its folder.

  Args:
    folder: to write.
    frame: section `model` of a frame model.
    temporal: for each temporal model, `model` (its section), `window`, and
      `carried`, whether its state goes from window to window. Then the heads of
      `frame` are left out.
    face_size: side of the faces in pixels; None is that of the network.
    views: of each face, one of `test_time_augmentation.COUNTS`.
    seed: of the weights.
  """
  from abaw_jax.bundles import networks, storage, writing
  from abaw_jax.core import labels
  from abaw_jax.models import zoo
  from abaw_jax.postprocessing import postprocess, postprocessing_files

  model = zoo.backbone_section(frame) if temporal else dict(frame)
  size = model['image_size']
  tensors = _weights('frame', _shapes(zoo.make_model(**model), size), seed)
  sections = []
  for i, section in enumerate(temporal):
    dim = zoo.make_backbone(model).dim
    sections.append(
        {**section, 'feature_dim': dim, 'stride': section['window']}
    )
    shapes = networks.temporal_shapes(section['model'], dim)
    tensors |= _weights(f'temporal{i}', shapes, seed + 1 + i)
  config = {
      'format': storage.FORMAT,
      'version': storage.VERSION,
      'name': folder.name,
      'abaw_jax': '0',
      'licence': 'none',
      'frame': {'model': model, 'features': ['embedding'], 'classes': None},
      'preprocessing': {
          'mean': [0.5, 0.4, 0.3],
          'std': [0.2, 0.2, 0.3],
          'color_order': 'RGB',
          'fit': 'crop',
          'filter': 'opencv',
          'image_size': face_size or size,
          'views': views,
      },
      'alignment': {'method': 'box', 'size': face_size or size, 'margin': 0.1},
      'temporal': sections,
      'labels': {
          'outputs': ['valence', 'arousal', 'expression', 'au'],
          'expressions': EXPRESSIONS,
          'aus': labels.AU_NAMES[2:6],
      },
      'untrained': {},
      'postprocessing': postprocessing_files.to_json(
          postprocess.Postprocessing.equal_weights(max(len(temporal), 1))
      ),
      'provenance': {
          'frame': {'run': 'random', 'data': {}}, 'temporal': []
      },
      'scores': {},
  }  # fmt: skip
  writing.write_files(folder, json.loads(json.dumps(config)), tensors)
  return folder


def _shapes(model, size: int):
  import jax
  import jax.numpy as jnp

  from abaw_jax.models.layers import variables

  images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
  return jax.eval_shape(
      lambda x: variables.init(model, jax.random.key(0), x), images
  )


def _weights(part: str, shapes, seed: int) -> dict[str, np.ndarray]:
  """Returns weights by path: kernels that keep the scale, scales near 1."""
  import jax

  from abaw_jax.distributed import sharding

  rng = np.random.default_rng(seed)
  found = {}
  for path, x in jax.tree_util.tree_leaves_with_path(shapes):
    name = f'{part}/{sharding.path_name(path)}'
    last = name.rsplit('/')[-1]
    deviation = 0.1
    if last == 'kernel':
      deviation = np.prod(x.shape[:-1]) ** -0.5
    mean = float(last in ('scale', 'std', 'var'))
    found[name] = rng.normal(mean, deviation, x.shape).astype(np.float32)
  return found
