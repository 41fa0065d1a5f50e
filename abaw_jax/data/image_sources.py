"""What training on single images reads: one dataset, or several as one."""

from collections.abc import Mapping, Sequence
import fractions
from typing import Any

from abaw_jax.core import errors
from abaw_jax.data import (
    class_balance,
    mixture,
    protocol,
    sources,
    transforms,
    votes,
)

# What `data.expression_targets` and `data.balance` may be.
TARGETS = ('majority', 'probability', 'crossentropy')
BALANCES = ('none', 'expression')


def frame_source(data: Mapping[str, Any], split: str) -> protocol.Source:
  """Returns the single frames of a split, of every dataset named.

  What a dataset does not label is masked: a face without AUs trains the rest.
  Splits that are not trained on are those of `data.validation` alone.

  Raises:
    InputError: there is no such dataset or choice, or two of them contradict.
  """
  for key, choices in (('expression_targets', TARGETS), ('balance', BALANCES)):
    if data[key] not in choices:
      raise errors.InputError(
          f'config.data.{key}={data[key]}: choose one of {", ".join(choices)}'
      )
  if data['balance'] != 'none' and data['weights']:
    raise errors.InputError(
        f'config.data.balance={data["balance"]}: decides how often each image is '
        f'drawn, as config.data.weights={data["weights"]} does; set one of them'
    )
  probs = split == 'train' and data['expression_targets'] != 'majority'
  extra = {votes.DATASET: ('votes',)} if probs else {}
  if split != 'train' and data['validation']:
    data = {**data, 'name': _scored(data), 'weights': ''}
  source = _images(data, split, transforms.FRAME_FIELDS, extra)
  if data['balance'] == 'none':
    return source
  return class_balance.ClassBalanced(source)


def image_source(data: Mapping[str, Any], split: str) -> protocol.Source:
  """Returns the images of a split, without labels, of every dataset named."""
  return _images(data, split, ('image',))


def identity_source(data: Mapping[str, Any], split: str) -> sources.Records:
  """Returns the images of a split with the numbers of their people.

  Raises:
    InputError: several datasets are named, whose numbers mean other people.
  """
  if ',' in data['name']:
    raise errors.InputError(
        f'config.data.name={data["name"]}: person 0 of one dataset is not that '
        'of another; name one, or build one of all their folders'
    )
  name = _dataset(data['name'], data['name'])
  fields = transforms.IDENTITY_FIELDS
  return sources.Records(data['dir'], *name, split, fields=fields)


def _scored(data: Mapping[str, Any]) -> str:
  """Returns those of the datasets that `data.validation` names."""
  names = [name.strip() for name in data['name'].split(',')]
  found = []
  for wanted in data['validation'].split(','):
    fitting = [
        name for name in names if wanted.strip() in (name, name.split('/')[0])
    ]
    if not fitting:
      raise errors.InputError(
          f'config.data.validation={data["validation"]}: {wanted!r} is not one '
          f'of config.data.name={data["name"]}; choose from those'
      )
    found += fitting
  return ','.join(found)


def _images(
    data,
    split: str,
    fields: Sequence[str],
    extra: Mapping[str, Sequence[str]] | None = None,
) -> protocol.Source:
  """Returns records with these fields, and those that a dataset has besides."""
  extra = extra or {}
  names = [_dataset(name, data['name']) for name in data['name'].split(',')]
  weights = _weights(data['weights'], len(names))
  parts = [
      sources.Records(
          data['dir'], *name, split, fields=(*fields, *extra.get(name[0], ()))
      )
      for name in names
  ]
  return mixture.Mixture(parts, weights=weights) if parts[1:] else parts[0]


def _dataset(name: str, listed: str) -> tuple[str, str]:
  """Returns dataset and config of `name` or `name/config`."""
  parts = name.strip().split('/')
  if not all(parts) or len(parts) > 2:
    raise errors.InputError(
        f'config.data.name={listed}: {name!r} is no dataset; give `name` or '
        '`name/config`, separated by commas'
    )
  return parts[0], parts[1] if parts[1:] else 'frames'


def _weights(text: str, count: int) -> tuple[fractions.Fraction, ...] | None:
  """Returns one exact weight per dataset; None if the text is empty."""
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
        "datasets in config.data.name; give one for each, or '' for by size"
    )
  if min(weights) <= 0:
    raise errors.InputError(
        f'config.data.weights={text}: weights must be above 0; take a dataset '
        'that is not wanted out of config.data.name'
    )
  return weights
