"""Random access to the records of a built dataset, without TensorFlow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import copy
import re
from typing import Any

from etils import epath
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from abaw_jax.core import choices, errors, files
from abaw_jax.core import fingerprint as fingerprint_lib
from abaw_jax.data import protocol, shards

# The list of a tf.train.Feature, by the kind of the NumPy dtype.
_LISTS = {
    'f': 'float_list',
    'i': 'int64_list',
    'u': 'int64_list',
    'b': 'int64_list',
    'O': 'bytes_list',
}
# Fields that identify a record; a dataset has some of them.
_NAMING = ('video', 'frame_id', 'name')
_VERSION = re.compile(r'\d+\.\d+\.\d+')


class Records(protocol.Source):
  """The records of one split, by index.

  A record is a dict: numbers are NumPy scalars and arrays, text and encoded
  images are bytes, and a sequence of encoded images is a list of bytes. TFDS
  shuffles the records when it builds a dataset; `row` and `frame_id` hold the
  original order. Records can be pickled. Their `repr` is the same on every machine
  with the same data.

  Attributes:
    name: dataset, config and version, separated by `/`.
    num_rows: rows in the split; None if the metadata do not have it.
    num_groups: people in the split; None if the metadata do not have it.
  """

  def __init__(
      self,
      data_dir: epath.PathLike,
      name: str,
      config: str,
      split: str,
      *,
      fields: Sequence[str] | None = None,
      cache_dir: str = '',
  ):
    """Opens the newest version of a dataset; reads no record yet.

    Args:
      data_dir: folder of all built datasets.
      name: dataset, such as `s_aff_wild2` or `s_aff_wild2_features`.
      config: config of the builder, or name of a feature set.
      split: for example `train`.
      fields: fields to read; None reads all.
      cache_dir: folder of the copies of datasets in buckets, see
        `dataset_cache.copied`.

    Raises:
      InputError: the dataset, config, split or a field does not exist.
    """
    folder = _newest_version(files.path(data_dir), name, config)
    self._arguments = (data_dir, name, config, split)
    self.name = f'{name}/{config}/{folder.name}'
    builder = tfds.builder_from_directory(folder)
    splits = builder.info.splits
    if split not in splits:
      raise errors.InputError(
          f'{folder}: no split {split!r}; choose one of {_listing(splits)}'
      )
    if not splits[split].num_examples:
      raise errors.InputError(
          f'{folder}: split {split!r} is empty; choose another split'
      )
    self._folder = str(folder)
    self._all_specs = {
        field: (field, _LISTS[dtype.kind], dtype, spec.shape)
        for field, spec in builder.info.features.get_serialized_info().items()
        for dtype in [np.dtype(spec.np_dtype)]
    }
    self._specs = self._chosen(self._all_specs if fields is None else fields)
    # TFDS takes 0.13 ms to read and parse a record, more than the 0.06 ms to
    # decode a 112x112 JPEG. `Shards` and `_parse` are faster.
    self._shards = shards.Shards(
        splits[split].filepaths, splits[split].shard_lengths, cache=cache_dir
    )
    self._naming = [field for field in _NAMING if field in self._all_specs]
    metadata = builder.info.metadata
    self.num_rows: int | None = metadata.get('rows', {}).get(split)
    self.num_groups: int | None = metadata.get('groups', {}).get(split)

  @property
  def fields(self) -> tuple[str, ...]:
    """The fields that are read."""
    return tuple(spec[0] for spec in self._specs)

  @property
  def all_fields(self) -> tuple[str, ...]:
    """The fields of the dataset."""
    return tuple(self._all_specs)

  def with_fields(self, *fields: str) -> 'Records':
    """Returns the same records with these fields only, which reads faster."""
    records = copy.copy(self)
    records._specs = self._chosen(fields)  # the open files are shared
    return records

  def fingerprints(self) -> dict[str, fingerprint_lib.Fingerprint]:
    """Returns the fingerprint of the dataset, by its name; see `fingerprint`."""
    data_dir, name, config, _ = self._arguments
    dataset = f'{name}/{config}'
    return {dataset: fingerprint(data_dir, dataset)}

  def names(self, rows: Mapping[str, np.ndarray]) -> protocol.Rows:
    """Returns the fields that identify each record, in order.

    These are `video` and `frame_id`, or the `name` of an unlabelled image.
    """
    del rows  # one entry per record, in order
    records = list(self.with_fields(*self._naming))
    return {
        field: np.array([_as_text(record[field]) for record in records])
        for field in self._naming
    }

  def where(self, index: int) -> str:
    """Returns the dataset and the name of a record for error messages."""
    record = self.with_fields(*self._naming)[index]
    name = ' '.join(f'{k} {_as_text(value)}' for k, value in record.items())
    return f'{self.name} {self._arguments[-1]}: {name}'

  def __len__(self) -> int:
    return len(self._shards)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._parse(self._shards[index])

  def __iter__(self) -> Iterator[dict[str, Any]]:
    return (self[index] for index in range(len(self)))

  def __repr__(self) -> str:
    return f'Records({self.name}, {self._arguments[-1]}, {len(self)} records)'

  def _chosen(self, fields: Iterable[str]) -> list[tuple[str, str, Any, Any]]:
    unknown = sorted(set(fields) - set(self._all_specs))
    if unknown:
      raise errors.InputError(
          f'{self._folder}: records have no field {_listing(unknown)}; choose '
          f'from {_listing(self._all_specs)}'
      )
    return [self._all_specs[field] for field in fields]

  def _parse(self, record: bytes) -> dict[str, Any]:
    features = tf_example_pb2.Example.FromString(record).features.feature
    parsed = {}
    for field, kind, dtype, shape in self._specs:
      values = getattr(features[field], kind).value
      if dtype.hasobject:
        parsed[field] = list(values) if shape else values[0]
      elif not shape:
        parsed[field] = dtype.type(values[0])
      elif dtype == np.float32:
        # The values are packed at the end of the message. Copying these bytes is
        # 100 times faster than converting the values to Python numbers.
        packed = getattr(features[field], kind).SerializeToString()
        offset = len(packed) - 4 * len(values)
        array = np.frombuffer(packed, '<f4', offset=offset).astype(dtype)
        parsed[field] = array.reshape(-1, *shape[1:])
      elif len(shape) == 1:
        parsed[field] = np.array(values, dtype)
      else:
        parsed[field] = np.array(values, dtype).reshape(-1, *shape[1:])
    return parsed


def split_names(
    data_dir: epath.PathLike, name: str, config: str
) -> tuple[str, ...]:
  """Returns the splits of a dataset that are not empty; raises as `Records`."""
  splits = info(data_dir, name, config).splits
  return tuple(key for key, found in splits.items() if found.num_examples)


def info(
    data_dir: epath.PathLike, name: str, config: str
) -> tfds.core.DatasetInfo:
  """Returns the metadata and the fields of a dataset; raises as `Records`."""
  folder = _newest_version(files.path(data_dir), name, config)
  return tfds.builder_from_directory(folder).info


def fingerprint(data_dir: epath.PathLike, dataset: str) -> dict[str, Any]:
  """Returns the fingerprint of a dataset.

  Args:
    data_dir: folder of all built datasets.
    dataset: `<name>/<config>`; an absolute path does not depend on `data_dir`.

  Raises:
    InputError: there is no such dataset, it has no fingerprint, or it was made
      from a dataset in `data_dir` that was built again with other data.
  """
  data_dir = files.path(data_dir)
  folder = _newest_version(data_dir, *dataset.rsplit('/', 1))
  found = fingerprint_lib.read(folder)
  for name, old in found.get('source', {}).items():
    # A dataset of larger images may have the name of its original, which is in
    # another folder.
    if name != dataset and _finished(data_dir, name):
      changed = fingerprint_lib.difference(old, fingerprint(data_dir, name))
      if changed:
        raise errors.InputError(
            f'{folder}: was made from other data: {name} has changed: {changed}; '
            'make it again with --overwrite'
        )
  return found


def _newest_version(data_dir: files.Path, name: str, config: str) -> files.Path:
  """Returns the folder `<data_dir>/<name>/<config>/<x.y.z>` of the newest version."""
  versions = _finished(data_dir, f'{name}/{config}')
  if versions:
    return max(versions, key=lambda v: [int(n) for n in v.name.split('.')])
  if name.endswith('_features') and files.path(name).is_absolute():
    raise errors.InputError(
        f'{data_dir / name}: there are no hidden states; restore this folder, or '
        'write it with `abaw-jax extract --init_from='
        f'{files.path(name).parent.parent}`'
    )
  if name.endswith('_features'):
    command = (
        'abaw-jax extract --init_from=... '
        f'--data={data_dir / name.removesuffix("_features")} --name={config}'
    )
  else:
    command = (
        f'abaw-jax build {name} --config={config} '
        f'--source_dir=... --data_dir={data_dir}'
    )
  others = {
      f'{v.parent.parent.name}/{v.parent.name}'
      for folder in data_dir.glob('*/*')
      for v in _finished(folder.parent, folder.name)
  }
  raise errors.InputError(
      f'{data_dir}: no dataset {name}/{config}; found {_listing(others)}; '
      f'build it with `{command}`'
  )


def _finished(data_dir: files.Path, dataset: str) -> list[files.Path]:
  """Returns the version folders of a dataset that are complete."""
  infos = (data_dir / dataset).glob('*/dataset_info.json')
  return [i.parent for i in infos if _VERSION.fullmatch(i.parent.name)]


def _as_text(value: Any) -> Any:
  # Names come from files, and their bytes may not be valid Unicode.
  is_text = isinstance(value, bytes)
  return value.decode(errors='backslashreplace') if is_text else value


def _listing(names: Iterable[str]) -> str:
  return choices.listing(sorted(names))
