"""The fields of a record of face images."""

import os
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2


def make(*, labelled: bool = False) -> tfds.features.FeaturesDict:
  """Returns the fields `image` (encoded bytes) and `name` (place in the source).

  Labelled records also have `identity`, the number of the person.
  """
  identity = tfds.features.Tensor(shape=(), dtype=np.int32)
  return tfds.features.FeaturesDict(
      {'image': tfds.features.Image(), 'name': tfds.features.Text()}
      | ({'identity': identity} if labelled else {})
  )


def serialize(
    features: tfds.features.FeaturesDict,
    image: bytes,
    name: str,
    identity: int | None,
) -> bytes:
  """Returns a record; a name that is not valid Unicode keeps its bytes."""
  example = {'image': image, 'name': os.fsencode(name)}
  if identity is not None:
    example['identity'] = np.int32(identity)
  return features.serialize_example(example)


def parse(record: bytes) -> dict[str, Any]:
  """Returns the fields of a record, for its digest."""
  found = tf_example_pb2.Example.FromString(record).features.feature
  return {
      name: value.int64_list.value[0]
      if name == 'identity'
      else value.bytes_list.value[0]
      for name, value in found.items()
  }
