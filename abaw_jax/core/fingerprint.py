"""The identity of a built dataset, which everything made from it carries along.

`fingerprint.json` lies next to `dataset_info.json`:

- `options`: options of the builder by name;
- `splits`: for each split the number of rows, and a digest of the `keys` of all rows
  (video, frame and row numbers, or name), of their `labels`, and of their `images`
  or `features`;
- `source`, of features only: the fingerprint of the dataset of the frames, by name.

A digest is the sum of the SHA-256 of all records modulo 2**256. So it does not depend
on the order of records, on shards, or on the number of workers. It contains no path.
"""

from collections.abc import Iterable, Mapping
import hashlib
import json
import os
from typing import Any

import numpy as np

from abaw_jax.core import errors, files

FILE = 'fingerprint.json'
_KEYS = ('video', 'chunk', 'frame_id', 'row', 'name')
_CONTENT = {'images': 'image', 'features': 'features'}

Fingerprint = Mapping[str, Any]


class Digest:
  """Digests of the records of a split, or of a part of it."""

  def __init__(self):
    self._rows = 0
    self._sums: dict[str, int] = {}

  def add(self, record: Mapping[str, Any]) -> None:
    """Adds a record: fields by name, with text and encoded images as bytes."""
    keys = [field for field in _KEYS if field in record]
    parts = {
        name: [field] for name, field in _CONTENT.items() if field in record
    }
    labels = record.keys() - {*keys, *_CONTENT.values()}
    if labels:
      parts['labels'] = sorted(labels)
    self._rows += np.size(record.get('row', 0))
    # The keys are part of every hash: exchanged labels or images make a difference.
    for name, fields in {'keys': [], **parts}.items():
      self._add(name, _hash(record, keys + fields))

  def merge(self, summary: Mapping[str, Any]) -> None:
    """Adds the records of another digest."""
    self._rows += summary['rows']
    for name in summary.keys() - {'rows'}:
      self._add(name, int(summary[name], 16))

  def summary(self) -> dict[str, Any]:
    """Returns the number of rows and the digests, as JSON values."""
    sums = sorted(self._sums.items())
    return {'rows': self._rows} | {name: f'{x:064x}' for name, x in sums}

  def _add(self, name: str, value: int) -> None:
    self._sums[name] = (self._sums.get(name, 0) + value) % 2**256


def make(
    options: Mapping[str, Any],
    parts: Iterable[tuple[str, Mapping[str, Any]]],
    source: Mapping[str, Fingerprint] | None = None,
) -> dict[str, Any]:
  """Returns a fingerprint.

  Args:
    options: options of the builder.
    parts: (split, summary of a digest of some of its records).
    source: of features, the fingerprint of the dataset of the frames, by name.
  """
  splits: dict[str, Digest] = {}
  for split, summary in parts:
    splits.setdefault(split, Digest()).merge(summary)
  found = {
      'options': dict(options),
      'splits': {split: digest.summary() for split, digest in splits.items()},
  }
  return found | ({'source': dict(source)} if source else {})


def write(folder: str | os.PathLike[str], fingerprint: Fingerprint) -> None:
  """Writes the fingerprint of a dataset into its folder."""
  files.write_json(files.path(folder) / FILE, fingerprint)


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
  """Returns the fingerprint of the dataset in a folder.

  Raises:
    InputError: there is none.
  """
  path = files.path(folder) / FILE
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError) as e:
    raise errors.InputError(
        f'{path}: cannot be read, so the dataset has no identity; make it again '
        'with --overwrite'
    ) from e


def difference(
    old: Fingerprint, new: Fingerprint, *, same_splits: bool = False
) -> str:
  """Returns how two fingerprints differ, in words; '' if they do not.

  Args:
    old: of the dataset that something was made from.
    new: of the dataset that is there now.
    same_splits: whether a split that only one of them has is a difference.
  """
  words = [
      f'built with {_option(name, new)}, was {_option(name, old)}'
      for name in sorted(old['options'].keys() | new['options'].keys())
      if _option(name, new) != _option(name, old)
  ]
  for split in sorted(old['splits'].keys() | new['splits'].keys()):
    before, now = old['splits'].get(split), new['splits'].get(split)
    if before and now:
      words += _split_difference(split, before, now)
    elif same_splits:
      words.append(f'{split} is {"new" if now else "missing"}')
  return ', '.join(words)


def differences(
    old: Mapping[str, Fingerprint],
    new: Mapping[str, Fingerprint],
    *,
    same_splits: bool = False,
) -> str:
  """Returns how the datasets that both have differ, by name; '' if they do not.

  The datasets that features come from count, too.
  """
  old, new = _with_sources(old), _with_sources(new)
  found = {
      name: difference(old[name], new[name], same_splits=same_splits)
      for name in sorted(old.keys() & new.keys())
  }
  return '; '.join(f'{name}: {words}' for name, words in found.items() if words)


def merged(*parts: Mapping[str, Fingerprint]) -> dict[str, Fingerprint]:
  """Returns the fingerprints of all parts by name."""
  return {name: one for part in parts for name, one in part.items()}


def _with_sources(datasets: Mapping[str, Fingerprint]) -> dict[str, Any]:
  sources = [one.get('source', {}) for one in datasets.values()]
  return merged(*sources, datasets)


def _split_difference(split: str, before, now) -> list[str]:
  if before['rows'] != now['rows']:
    return [f'{split} has {now["rows"]:,} rows, was {before["rows"]:,}']
  names = [
      name
      for name in sorted(before.keys() | now.keys())
      if before.get(name) != now.get(name)
  ]
  if 'keys' in names:  # then everything else differs as well
    return [f'rows of {split} differ']
  return [f'{" and ".join(names)} of {split} differ'] if names else []


def _option(name: str, fingerprint: Fingerprint) -> str:
  value = fingerprint['options'].get(name)
  return f'no --{name}' if value is None else f'--{name}={value}'


def _hash(record: Mapping[str, Any], fields: Iterable[str]) -> int:
  state = hashlib.sha256()
  for field in fields:
    value = record[field]
    for part in value if isinstance(value, list) else [value]:
      data = _bytes(part)
      state.update(f'{field} {len(data)} '.encode())
      state.update(data)
  return int.from_bytes(state.digest())


def _bytes(value: Any) -> bytes:
  """Returns text and numbers in the same bytes on every machine."""
  if isinstance(value, (str, bytes)):
    return os.fsencode(value)
  array = np.asarray(value)
  return array.astype('<f4' if array.dtype.kind == 'f' else '<i8').tobytes()
