"""TFDS configs and record fields that several builders share."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.core import labels

# Name -> (dtype, shape) of the labels and masks of one frame.
FRAME_COLUMNS = {
    'frame_id': (np.int32, ()),
    'row': (np.int32, ()),
    'valence': (np.float32, ()),
    'arousal': (np.float32, ()),
    'expression': (np.int32, ()),
    'au': (np.int8, (labels.NUM_AUS,)),
    'va': (np.bool_, ()),
    'expr': (np.bool_, ()),
    'au_mask': (np.bool_, (labels.NUM_AUS,)),
}


def tensors(
    columns: Mapping[str, tuple[Any, tuple[int, ...]]],
    frames: tuple[None, ...] = (),
) -> dict[str, tfds.features.Tensor]:
  """Returns the TFDS features of columns, with the axes `frames` in front."""
  return {
      name: tfds.features.Tensor(shape=(*frames, *shape), dtype=dtype)
      for name, (dtype, shape) in columns.items()
  }


def configs(layouts: Mapping[str, Any]) -> list[tfds.core.BuilderConfig]:
  """Returns one config for each layout, with the description of the layout."""
  return [
      tfds.core.BuilderConfig(name=name, description=layout.description)
      for name, layout in layouts.items()
  ]
