"""Fingerprints of datasets: what changes them, and how differences are named."""

import numpy as np
import pytest

from abaw_jax.core import errors, fingerprint


def records(num: int) -> list[dict]:
  return [
      {
          'name': f'{i}.jpg'.encode(),
          'valence': np.float32(i / 10),
          'au': np.array([i, 0], np.int8),
          'image': bytes([i]) * 5,
      }
      for i in range(num)
  ]


def summary(found: list[dict]) -> dict:
  digest = fingerprint.Digest()
  for record in found:
    digest.add(record)
  return digest.summary()


def make(train: list[dict], **options) -> dict:
  return fingerprint.make(options, [('train', summary(train))])


def test_order_and_shards_do_not_matter():
  found = records(7)
  parts = [('train', summary(found[4:])), ('train', summary(found[:4]))]
  assert fingerprint.make({}, parts) == make(found)
  assert make(found)['splits']['train']['rows'] == 7
  # Python numbers and text are the same data as arrays and bytes.
  plain = [
      {**r, 'name': r['name'].decode(), 'valence': float(r['valence'])}
      for r in found
  ]
  assert make(plain) == make(found)


def exchanged(field: str) -> list[dict]:
  """Returns records where the first two have each other's field."""
  one, two, *rest = records(7)
  return [one | {field: two[field]}, two | {field: one[field]}, *rest]


@pytest.mark.parametrize(
    ('new', 'words'),
    [
        (make(records(7)), ''),
        (make(records(6)), 'train has 6 rows, was 7'),
        (make(exchanged('valence')), 'labels of train differ'),
        (make(exchanged('au')), 'labels of train differ'),
        (make(exchanged('image')), 'images of train differ'),
        (make(records(8)[1:]), 'rows of train differ'),
        (make(records(7), size=96), 'built with --size=96, was no --size'),
    ],
)
def test_a_difference_is_named(new, words):
  assert fingerprint.difference(make(records(7)), new) == words


def test_a_new_split_is_a_difference_on_request():
  old = make(records(7))
  parts = [(split, summary(records(7))) for split in ('train', 'test')]
  new = fingerprint.make({}, parts)
  assert fingerprint.difference(old, new) == ''
  assert fingerprint.difference(old, new, same_splits=True) == 'test is new'
  assert fingerprint.difference(new, old, same_splits=True) == (
      'test is missing'
  )


def test_a_dataset_without_a_fingerprint_is_one_line(tmp_path):
  with pytest.raises(errors.InputError, match='no identity; make it again'):
    fingerprint.read(tmp_path)
