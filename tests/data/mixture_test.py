"""Mixtures of two datasets: positions, names, and batches on several hosts."""

from fractions import Fraction
import functools
import pickle

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import mixture, pipeline, sources, transforms
from tests.data import corpora

WEIGHTS = (Fraction(1), Fraction(3))


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
  """Returns 14 labelled frames and 7 unlabelled faces, with only their images."""
  data_dir = tmp_path_factory.mktemp('data')
  corpora.build_toy(data_dir, 'frames')
  corpora.build_faces(data_dir)
  names = (('toy', 'frames'), ('toy_faces', 'wild'))
  return [
      sources.Records(data_dir, *name, 'train', fields=('image',))
      for name in names
  ]


@pytest.fixture(scope='module')
def broken(parts):
  """Returns the index of the damaged image in the mixture."""
  return 14 + [*parts[1].names({})['name']].index('id/106.jpg')


def first_bytes(records, *, rows):
  """Returns a batch with one number for each image, instead of decoding it."""
  sums = [sum(record['image']) for record in records]
  sums += [0] * (rows - len(sums))
  return {'sum': np.array(sums), 'real': np.array(sums) > 0}


def sums(batches, count):
  found = [next(batches)['sum'].tolist() for _ in range(count)]
  batches.close()
  return found


def test_records_of_one_dataset_follow_those_of_the_other(parts):
  mixed = mixture.Mixture(parts)
  assert len(mixed) == 21
  assert mixed.sizes == (14, 7)
  assert [*mixed] == [*parts[0], *parts[1]]
  assert mixed[20] == parts[1][6]
  for index in (-1, 21):
    with pytest.raises(IndexError, match=f'record {index} of 21'):
      mixed[index]


def test_names_contain_the_dataset(parts):
  names = mixture.Mixture(parts).names({})
  assert names.keys() == {'dataset', 'name'}
  assert [*names['dataset']] == (
      ['toy/frames/1.0.0'] * 14 + ['toy_faces/wild/1.0.0'] * 7
  )
  own = parts[0].names({})
  assert names['name'][2] == f'{own["video"][2]}/{own["frame_id"][2]}'
  assert [*names['name'][14:]] == [*parts[1].names({})['name']]


def test_repr_contains_data_and_weights(parts):
  copy = pickle.loads(pickle.dumps(mixture.Mixture(parts, weights=WEIGHTS)))
  assert repr(copy) == (
      'Mixture([Records(toy/frames/1.0.0, train, 14 records), '
      'Records(toy_faces/wild/1.0.0, train, 7 records)], weights 1, 3)'
  )


def test_batches_do_not_depend_on_hosts_or_copies(parts):
  mixed = mixture.Mixture(parts, weights=WEIGHTS)

  def train(mixed, **host):
    return pipeline.train_batches(
        mixed, first_bytes, batch_size=12, seed=5, **host
    )

  expected = sums(train(mixed), 9)
  # A worker process gets such a copy.
  resumed = train(pickle.loads(pickle.dumps(mixed)))
  resumed.set_state({'next_batch': 6})
  assert sums(resumed, 3) == expected[6:]
  halves = [sums(train(mixed, shard_index=i, shard_count=2), 9) for i in (0, 1)]
  assert [a + b for a, b in zip(*halves, strict=True)] == expected


def test_weights_set_the_share_of_each_dataset(parts):
  mixed = mixture.Mixture(parts, weights=WEIGHTS)
  batches = pipeline.train_batches(mixed, first_bytes, batch_size=84, seed=0)
  (found,) = sums(batches, 1)
  faces = {sum(record['image']) for record in parts[1]}
  assert sum(value in faces for value in found) == 63


def test_evaluation_reads_one_dataset_after_the_other(parts):
  mixed = mixture.Mixture(parts, weights=WEIGHTS)
  batches = list(pipeline.eval_batches(mixed, first_bytes, batch_size=8))
  found = np.concatenate([batch['sum'] for batch in batches])
  real = np.concatenate([batch['real'] for batch in batches])
  np.testing.assert_array_equal(
      found[real], [sum(record['image']) for record in mixed]
  )


def test_an_error_names_the_damaged_image(parts, broken):
  mixed = mixture.Mixture(parts)
  message = (
      r'^toy_faces/wild/1.0.0 train: name id/106.jpg: image cannot be decoded '
      r'\(6 bytes\); replace the file'
  )
  to_batch = functools.partial(transforms.image_batch, image_size=24)
  batches = pipeline.train_batches(mixed, to_batch, batch_size=21, seed=0)
  with pytest.raises(errors.InputError, match=message):
    next(batches)
  batches.close()
  # Also if it is the only image of a batch, and the last one.
  batches = pipeline.eval_batches(mixed, to_batch, batch_size=1)
  with pytest.raises(errors.InputError, match=message):
    list(batches)
  assert mixed.where(broken).endswith('id/106.jpg')
