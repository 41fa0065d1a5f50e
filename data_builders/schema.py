"""TFDS configs and record fields that several builders share."""

from collections.abc import Mapping
from typing import Any

import tensorflow_datasets as tfds


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
