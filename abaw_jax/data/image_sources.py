"""Sources of single images: one dataset or a mixture of several."""

from collections.abc import Callable, Mapping, Sequence
import fractions
from typing import Any

import numpy as np

from abaw_jax.core import choices, errors
from abaw_jax.data import (
    mixture,
    protocol,
    sampling,
    sources,
    transforms,
    votes,
)

_CHOICES = {
    'expression_targets': ('majority', 'probability', 'crossentropy'),
    'class_balance': ('none', 'expression'),
}


class Identified(protocol.Wrapper):
  """The records of a dataset, each with its `identity`.

  This is the number of its `person`, or of its `video` in datasets without people,
  0 .. num_identities - 1. It is -1 without a name.
  """

  def __init__(self, source: Any, records: sources.Records):
    """Reads all names once.

    Args:
      source: records that training draws, for example those of some videos.
      records: all records of the dataset.

    Raises:
      InputError: no two images are of the same person or video.
    """
    super().__init__(source)
    known = [x for x in ('person', 'video') if x in records.all_fields]
    names = np.array([b''])
    for field in known:
      names = np.array([x[field] for x in source.with_fields(field)], object)
      if any(names):
        break
    people, number = np.unique(names.astype(bytes), return_inverse=True)
    first = int(people[0] == b'')  # images without a name
    self._identity = number.reshape(-1).astype(np.int32) - first
    self.num_identities = len(people) - first
    if not 1 < self.num_identities < np.sum(self._identity >= 0):
      raise errors.InputError(
          f'config.loss.identity_adversarial: {records.name} has '
          f'{self.num_identities} people or videos in {len(source):,} images; it '
          'needs at least two with several images each'
      )

  def for_training(self, seed: int) -> Any:
    """Returns the examples in the order of training."""
    return self._source.for_training(seed).of(self)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[index] | {'identity': self._identity[index]}


def frame_source(
    data: Mapping[str, Any],
    split: str,
    *,
    identities: bool = False,
    fill: Callable[[Any], Any] | None = None,
) -> protocol.Source:
  """Returns the labelled images of a split, from all datasets in `data.name`.

  Labels that a dataset does not have are masked, so a face without AUs still
  trains the other tasks. Every split but `train` contains only the datasets in
  `data.validation`.

  Args:
    data: the section `data` of a config.
    split: name of the split.
    identities: whether records have an `identity`, see `Identified`.
    fill: gives the records new labels, see `pseudo_labels.Labelled`.

  Raises:
    InputError: a dataset does not exist, or a value is wrong.
  """
  if identities and ',' in data['name']:
    raise errors.InputError(
        f'config.loss.identity_adversarial: config.data.name={data["name"]}: people '
        'of several datasets may have the same names; name one dataset'
    )
  if fill and ',' in data['name']:
    raise errors.InputError(
        f'config.data.pseudo_labels: config.data.name={data["name"]}: images of '
        'several datasets may have the same names; name one dataset'
    )
  for key, values in _CHOICES.items():
    choices.choose(dict.fromkeys(values), data[key], f'data.{key}')
  if data['class_balance'] != 'none' and data['weights']:
    raise errors.InputError(
        f'config.data.class_balance={data["class_balance"]} and '
        f'config.data.weights={data["weights"]} both set the sampling rate of '
        'an image; set only one of them'
    )
  probs = split == 'train' and data['expression_targets'] != 'majority'
  extra = {votes.DATASET: ('votes',)} if probs else {}
  if split != 'train' and data['validation']:
    data = {**data, 'name': _scored(data), 'weights': ''}
  share = data.get('video_share', 1.0) if split == 'train' else 1.0
  if share < 1 and ',' in data['name']:
    raise errors.InputError(
        f'config.data.video_share={share}: config.data.name={data["name"]} has '
        'several datasets; name one, or set the share to 1'
    )
  source = records = _images(data, split, transforms.FRAME_FIELDS, extra)
  if share < 1:
    source = sampling.VideoShare(source, share, data['share_seed'])
  if fill:
    source = fill(source)
  if data['class_balance'] != 'none':
    source = sampling.ClassBalanced(source)
  return Identified(source, records) if identities else source


def image_source(data: Mapping[str, Any], split: str) -> protocol.Source:
  """Returns the images of a split without labels, from all datasets."""
  return _images(data, split, ('image',))


def identity_source(data: Mapping[str, Any], split: str) -> sources.Records:
  """Returns the images of a split with the number of the person in each.

  Raises:
    InputError: several datasets are named; person 0 differs between them.
  """
  if ',' in data['name']:
    raise errors.InputError(
        f'config.data.name={data["name"]}: the numbers of people in several '
        'datasets overlap; name one dataset, or build one from all folders'
    )
  name = _dataset(data['name'], data['name'])
  fields = transforms.IDENTITY_FIELDS
  return _records(data, name, split, fields)


def _scored(data: Mapping[str, Any]) -> str:
  """Returns the datasets in `data.name` that `data.validation` selects."""
  names = [name.strip() for name in data['name'].split(',')]
  found = []
  for wanted in data['validation'].split(','):
    fitting = [
        name for name in names if wanted.strip() in (name, name.split('/')[0])
    ]
    if not fitting:
      raise errors.InputError(
          f'config.data.validation={data["validation"]}: {wanted!r} is not in '
          f'config.data.name={data["name"]}; name one of those'
      )
    found += fitting
  return ','.join(dict.fromkeys(found))


def _images(
    data,
    split: str,
    fields: Sequence[str],
    extra: Mapping[str, Sequence[str]] | None = None,
) -> protocol.Source:
  """Returns the records of all datasets.

  Args:
    data: the section `data` of a config.
    split: name of the split.
    fields: fields to read from all datasets.
    extra: further fields to read, by name of the dataset.
  """
  extra = extra or {}
  names = [_dataset(name, data['name']) for name in data['name'].split(',')]
  choices.check_once(['/'.join(n) for n in names], data['name'], 'data.name')
  weights = _weights(data['weights'], len(names))
  parts = [
      _records(data, name, split, (*fields, *extra.get(name[0], ())))
      for name in names
  ]
  return mixture.Mixture(parts, weights=weights) if parts[1:] else parts[0]


def _records(
    data: Mapping[str, Any],
    name: tuple[str, str],
    split: str,
    fields: Sequence[str],
) -> sources.Records:
  """Returns the records of one dataset."""
  cache_dir = data.get('cache_dir', '')  # older configs have none
  return sources.Records(
      data['dir'], *name, split, fields=fields, cache_dir=cache_dir
  )


def _dataset(name: str, listed: str) -> tuple[str, str]:
  """Returns (dataset, config) from `name` or `name/config`."""
  parts = name.strip().split('/')
  if not all(parts) or len(parts) > 2:
    raise errors.InputError(
        f'config.data.name={listed}: {name!r} is not the name of a dataset; '
        'give `name` or `name/config`, separated by commas'
    )
  return parts[0], parts[1] if parts[1:] else 'frames'


def _weights(text: str, count: int) -> tuple[fractions.Fraction, ...] | None:
  """Returns one exact weight for each dataset; None if the text is empty."""
  if not text:
    return None
  try:
    weights = tuple(
        fractions.Fraction(part.strip()) for part in text.split(',')
    )
  except (ValueError, ZeroDivisionError) as error:
    raise errors.InputError(
        f'config.data.weights={text}: {error}; give numbers such as 3,1'
    ) from error
  if len(weights) != count:
    raise errors.InputError(
        f'config.data.weights={text}: {len(weights)} weights for {count} '
        "datasets in config.data.name; give one weight for each, or '' to use "
        'their sizes'
    )
  if min(weights) <= 0:
    raise errors.InputError(
        f'config.data.weights={text}: weights must be above 0; remove the '
        'dataset from config.data.name instead'
    )
  return weights
