"""The fields of a record."""

import os

import tensorflow_datasets as tfds


def make() -> tfds.features.FeaturesDict:
  """Returns `image`, the encoded bytes, and `name`, where they come from."""
  return tfds.features.FeaturesDict(
      {'image': tfds.features.Image(), 'name': tfds.features.Text()}
  )


def serialize(
    features: tfds.features.FeaturesDict, image: bytes, name: str
) -> bytes:
  """Returns a record; names that are no Unicode keep their bytes."""
  return features.serialize_example({'image': image, 'name': os.fsencode(name)})
