"""Writes the features of all frames of a dataset as a new dataset."""

from collections.abc import Iterable, Mapping
import re
from typing import Any

from etils import epath
import numpy as np
import tensorflow_datasets as tfds

from abaw_jax.core import errors, files, fingerprint, labels
from abaw_jax.data import transforms
from abaw_jax.derived import writer

# Folder in the workdir of a run with hidden states of datasets, and their name.
OF_RUN, HIDDEN = 'features', 'hidden'


def place(dataset: str, name: str) -> tuple[str, str]:
  """Returns dataset and config of a feature set that a config names.

  Args:
    dataset: name of the dataset that the frames come from.
    name: of a feature set, or the workdir of a temporal run, which contains a `/`;
      its hidden states are the features.

  Raises:
    InputError: the run has no hidden states of this dataset.
  """
  if '/' not in name:
    return f'{dataset}_features', name
  folder = files.path(name) / OF_RUN / f'{dataset}_features'
  if not (folder / HIDDEN / writer.VERSION).is_dir():
    raise errors.InputError(
        f'config.data.features: {name} has no hidden states of {dataset}; if this '
        'run was moved without the run that reads it, move it back, otherwise write '
        f'them with `abaw-jax extract --init_from={name}`, and for another dataset '
        f'than that of the run with --data=DATA_DIR/{dataset}'
    )
  return str(folder), HIDDEN


class FeatureWriter(writer.Writer):
  """Writes `<data_dir>/<dataset>_features/<features_name>/1.0.0/`."""

  content = 'features'

  def __init__(
      self,
      data_dir: epath.PathLike,
      dataset: str,
      features_name: str,
      *,
      dim: int,
      card: Mapping[str, Any],
      num_records: Mapping[str, int],
      records_per_shard: int,
      source: Mapping[str, fingerprint.Fingerprint] | None = None,
      overwrite: bool = False,
  ):
    """Plans the shards; writes nothing yet.

    Args:
      data_dir: folder of all built datasets.
      dataset: name of the dataset that the frames come from.
      features_name: name of the feature set, which becomes the config.
      dim: d, the size of one feature vector.
      card: see `writer.Writer`.
      num_records: see `writer.Writer`.
      records_per_shard: see `writer.Writer`.
      source: see `writer.Writer`.
      overwrite: see `writer.Writer`.

    Raises:
      InputError: configs cannot name this feature set; or as `writer.Writer`.
    """
    if not re.fullmatch(r'[\w.+-]+', features_name):
      raise errors.InputError(
          f'--name={features_name}: config.data.features separates names by '
          'commas; give a name of letters, digits, `_`, `-`, `.` and `+`'
      )
    super().__init__(
        files.path(data_dir) / f'{dataset}_features' / features_name,
        schema=_schema(dim),
        card={**card, 'dim': dim},
        num_records=num_records,
        records_per_shard=records_per_shard,
        source=source,
        overwrite=overwrite,
    )

  def write(
      self, shard: writer.Shard, records: Iterable[Mapping[str, Any]]
  ) -> None:
    """Writes a shard; its file appears when it is complete.

    Records have the `sequences` schema with `features` float32 [n, d].

    Raises:
      InputError: a feature is NaN or infinite.
    """
    super().write(shard, map(_checked, records))


def _checked(record: Mapping[str, Any]) -> Mapping[str, Any]:
  """Returns a record, or raises an InputError if a feature is not finite."""
  transforms.check_features(
      record['features'], _text(record['video']), record['frame_id']
  )
  return record


def read_card(
    data_dir: epath.PathLike, dataset: str, features_name: str
) -> dict[str, Any]:
  """Returns the origin of a feature set, as `FeatureWriter` got it, and `dim`.

  Raises:
    InputError: there is no such card.
  """
  config = files.path(data_dir) / f'{dataset}_features' / features_name
  path = config / writer.VERSION / writer.CARD
  if not (card := writer.read_card(path)):
    raise errors.InputError(
        f'{path}: there is no such file; give the folder of the datasets with '
        'these features as --data_dir'
    )
  return card


def _schema(dim: int) -> tfds.features.FeaturesDict:
  """Returns the `sequences` schema with `features` instead of `image`."""
  columns = labels.FRAME_COLUMNS | {'features': (np.float32, (dim,))}
  return tfds.features.FeaturesDict(
      {
          'video': tfds.features.Text(),
          'chunk': np.int32,
          **{
              name: tfds.features.Tensor(shape=(None, *shape), dtype=dtype)
              for name, (dtype, shape) in columns.items()
          },
      }
  )


def _text(value: bytes | str) -> str:
  return value.decode() if isinstance(value, bytes) else value
