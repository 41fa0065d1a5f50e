"""A batch of one row, as a config's dataset would give it, without one."""

from collections.abc import Mapping
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.core import errors, labels
from abaw_jax.tasks import inputs


def make_example(
    config: Mapping[str, Any], *, feature_dim: int = 0
) -> dict[str, jax.Array]:
  """Returns a batch of one empty row, whose shapes follow from the config.

  Features of a temporal model are as wide as those of the dataset, if
  `data.dir` names one, and else `feature_dim`.

  Raises:
    InputError: the width of the features is not known.
  """
  name, data = config['model']['name'], config['data']
  if name == 'temporal':
    if data['dir'] and not feature_dim:
      return inputs.example(config, inputs.make_source(config, 'train'))
    if not feature_dim:
      raise errors.InputError(
          'the width of the features is not known: give --feature_dim=D, or '
          'the folder of a built dataset, --config.data.dir=DATA_DIR'
      )
    record = _rows(data['window']) | {
        'features': np.zeros((data['window'], feature_dim), np.float32),
        'frame_id': np.zeros(data['window'], np.int32),
        'video': '',
        'video_id': np.int32(0),
        'start': np.True_,
        'window_length': np.int32(data['window']),
        'real': np.True_,
    }
  else:
    size = inputs.face_size(config)
    _, jpeg = cv2.imencode('.jpg', np.zeros((size, size, 3), np.uint8))
    row = jax.tree.map(lambda column: column[0], _rows(1))
    record = row | {'image': jpeg.tobytes()}
  batch = inputs.make_transform(config, train=True)([record], rows=1)
  return jax.tree.map(jnp.zeros_like, batch)


def _rows(count: int) -> dict[str, np.ndarray]:
  """Returns the columns of unlabelled rows, as datasets store them."""
  return {
      'valence': np.zeros(count, np.float32),
      'arousal': np.zeros(count, np.float32),
      'expression': np.zeros(count, np.int32),
      'au': np.zeros((count, labels.NUM_AUS), np.int8),
      'va': np.zeros(count, bool),
      'expr': np.zeros(count, bool),
      'au_mask': np.zeros((count, labels.NUM_AUS), bool),
      'row': np.zeros(count, np.int32),
      'identity': np.zeros(count, np.int32),
  }
