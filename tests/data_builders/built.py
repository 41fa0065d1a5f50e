"""Builds s-Aff-Wild2 in a test and reads the dataset."""

import pathlib

import tensorflow_datasets as tfds

from abaw_jax.data_builders import build

SPLITS = ('train', 'validation', 'test')
SCALARS = ('video', 'chunk')  # the other fields have a value per row


def run(source: pathlib.Path, data: pathlib.Path, **kwargs) -> None:
  """Builds the source folder into the data folder."""
  build.build('s_aff_wild2', source_dir=source, data_dir=data, **kwargs)


def folder(data: pathlib.Path, config: str = 'sequences') -> pathlib.Path:
  """Returns the folder of a built config."""
  return data / 's_aff_wild2' / config / '1.0.0'


def metadata(data: pathlib.Path, config: str = 'sequences') -> dict:
  """Returns the metadata of the dataset."""
  return dict(tfds.builder_from_directory(folder(data, config)).info.metadata)


def examples(data: pathlib.Path, config: str, split: str) -> list[dict]:
  """Returns the examples, sorted by video and chunk or row."""
  decoders = (
      {'image': tfds.decode.SkipDecoding()} if config == 'frames' else None
  )
  source = tfds.builder_from_directory(folder(data, config)).as_data_source(
      split, decoders=decoders
  )
  position = 'chunk' if config == 'sequences' else 'row'
  return sorted(
      (source[i] for i in range(len(source))),
      key=lambda example: (example['video'], example[position]),
  )


def rows(data: pathlib.Path, config: str, split: str) -> dict[int, dict]:
  """Returns the rows of a split by number, for both configs."""
  found = []
  for example in examples(data, config, split):
    if config == 'frames':
      found.append(example)
      continue
    assert 1 <= len(example['row']) <= 64
    assert {len(example[name]) for name in example if name not in SCALARS} == {
        len(example['row'])
    }
    for i in range(len(example['row'])):
      row = {
          name: value[i]
          for name, value in example.items()
          if name not in SCALARS
      }
      found.append({'video': example['video'], **row})
  by_number = {int(row['row']): row for row in found}
  assert len(by_number) == len(found)
  return by_number
