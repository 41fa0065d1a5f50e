"""Batches against the shapes and types of `labels`, and against the records."""

from typing import get_type_hints

import numpy as np
import pytest

from abaw_jax.core import errors, labels
from abaw_jax.data import images, transforms
from tests.data import corpora


def frame(image, **changes):
  return {
      'video': b'v7_left',
      'frame_id': np.int32(31),
      'row': np.int32(5),
      'image': image,
      'valence': np.float32(0.25),
      'arousal': np.float32(-0.5),
      'expression': np.int32(3),
      'au': np.arange(12, dtype=np.int8) % 2,
      'va': np.True_,
      'expr': np.True_,
      'au_mask': np.ones(12, bool),
      **changes,
  }


def window(n=3, dim=4):
  (columns,) = corpora.rows({'v': n}).values()
  features = corpora.row_features(columns['row'], dim)
  return {
      **columns,
      'video': 'v',
      'video_id': np.int32(8),
      'start': np.True_,
      'window_length': np.int32(10),
      'real': np.True_,
      'features': features,
  }


def one_frame(record):
  """Returns the fields of one frame, from a batch with one row."""
  batch = transforms.frame_batch([record], rows=1, image_size=24)
  return {field: column[0] for field, column in batch.items()}


def one_window(given, length):
  batch = transforms.window_batch([given], rows=1, length=length)
  return {field: column[0] for field, column in batch.items()}


def test_frames_have_the_fields_and_types_of_a_frame_batch():
  records = [frame(corpora.jpeg(seed)) for seed in (1, 2)]
  batch = transforms.frame_batch(records, rows=3, image_size=24)
  check_contract(batch, labels.FrameBatch)
  np.testing.assert_array_equal(batch['real'], [True, True, False])


def test_windows_have_the_fields_and_types_of_a_sequence_batch():
  batch = transforms.window_batch([window(), window()], rows=3, length=5)
  check_contract(batch, labels.SequenceBatch)
  np.testing.assert_array_equal(batch['start'], [True, True, False])
  np.testing.assert_array_equal(batch['window_length'], [10, 10, 10])
  np.testing.assert_array_equal(batch['real'], [True, True, False])


def check_contract(batch, contract):
  """Checks the jaxtyping shapes of `labels`, and that padding is 0."""
  hints = get_type_hints(contract)
  assert batch.keys() == hints.keys()
  for field, hint in hints.items():
    column = batch[field]
    assert isinstance(column, hint), (field, column.shape, column.dtype)
    assert len(column) == 3
    assert not column[2].any() or field == 'window_length', field
  for field in ('valence', 'arousal'):
    assert batch[field].dtype == np.float32
  for field in ('expression', 'row'):
    assert batch[field].dtype == np.int32


def test_sentinels_of_a_frame_become_zero():
  example = one_frame(
      frame(
          corpora.jpeg(1),
          valence=np.float32(labels.VA_MISSING),
          arousal=np.float32(labels.VA_MISSING),
          expression=np.int32(labels.EXPRESSION_MISSING),
          au=np.full(12, labels.AU_MISSING, np.int8),
          va=np.False_,
          expr=np.False_,
          au_mask=np.zeros(12, bool),
      )
  )
  for field in ('valence', 'arousal', 'expression', 'au'):
    assert not np.any(example[field]), field


def test_labels_under_a_true_mask_are_kept():
  example = one_frame(frame(corpora.jpeg(1)))
  given = frame(b'')
  for field in ('valence', 'arousal', 'expression', 'au', 'row'):
    np.testing.assert_array_equal(example[field], given[field])


def test_windows_are_padded_and_have_no_sentinels():
  given = window(n=7)
  example = one_window(given, length=10)
  np.testing.assert_array_equal(example['frame_mask'], np.arange(10) < 7)
  for field, mask in (
      ('valence', 'va'),
      ('arousal', 'va'),
      ('expression', 'expr'),
      ('au', 'au_mask'),
  ):
    np.testing.assert_array_equal(example[mask][:7], given[mask])
    expected = np.where(given[mask], given[field], 0)
    np.testing.assert_array_equal(example[field][:7], expected)
    assert not example[field][7:].any()
    assert not example[mask][7:].any()
  for field in ('features', 'frame_id', 'row'):
    np.testing.assert_array_equal(example[field][:7], given[field])
    assert not example[field][7:].any()
  assert example['video_id'] == 8


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_an_error_names_the_frame_with_a_bad_feature(value):
  given = window()
  given['features'][2, 1] = value
  message = f'video v frame {given["frame_id"][2]}: features are NaN'
  with pytest.raises(errors.InputError, match=message):
    one_window(given, length=3)


def test_image_batches_read_only_the_image():
  records = [{'image': corpora.jpeg(seed, 40)} for seed in (4, 5)]
  batch = transforms.image_batch(iter(records), rows=3, image_size=24)
  assert batch.keys() == {'image', 'real'}
  for face, record in zip(batch['image'], records, strict=False):
    np.testing.assert_array_equal(
        face, images.square(images.decode(record['image']), size=24)
    )
  assert not batch['image'][2].any()
  np.testing.assert_array_equal(batch['real'], [True, True, False])


def test_a_sequence_record_is_decoded_frame_by_frame():
  encoded = [corpora.jpeg(seed, size) for seed, size in enumerate((24, 40, 16))]
  record = frame(encoded, frame_id=np.array([2, 5, 9], np.int32))
  found = transforms.decode_record(record, image_size=24)
  assert found['image'].shape == (3, 24, 24, 3)
  for image, expected in zip(found['image'], encoded, strict=True):
    expected = images.square(images.decode(expected), size=24)
    np.testing.assert_array_equal(image, expected)
  assert {k for k in record if found[k] is not record[k]} == {'image'}
  record['image'][1] = b'no image'
  with pytest.raises(errors.InputError, match='video v7_left frame 5: image'):
    transforms.decode_record(record, image_size=24)


def test_probabilities_come_from_votes_or_from_the_class():
  image = corpora.jpeg(0)
  label = {
      'image': image,
      'row': np.int32(0),
      'valence': np.float32(-5),
      'arousal': np.float32(-5),
      'au': np.full(12, -1, np.int8),
      'va': np.False_,
      'au_mask': np.zeros(12, bool),
  }
  none = {'expression': np.int32(-1), 'expr': np.False_}
  records = [
      label | {'expression': np.int32(4), 'expr': np.True_},
      label | none,
      # There is no majority, but a distribution.
      label | none | {'votes': np.array([5, 0, 0, 5, 0, 0, 0, 0, 0, 0])},
      label | none | {'votes': np.array([0, 0, 0, 0, 0, 0, 0, 0, 9, 1])},
  ]
  batch = transforms.frame_batch(records, rows=5, image_size=24, probs=True)
  assert batch['expr'].tolist() == [True, False, True, False, False]
  want = np.zeros((5, 8), np.float32)
  want[0, 4] = 1.0
  want[2, [0, 5]] = 0.5
  np.testing.assert_array_equal(batch['expression_probs'], want)
  hints = get_type_hints(labels.SoftFrameBatch)
  assert batch.keys() == hints.keys()
  assert isinstance(batch['expression_probs'], hints['expression_probs'])
  plain = transforms.frame_batch(records, rows=5, image_size=24)
  assert 'expression_probs' not in plain
  assert plain['expr'].tolist() == [True, False, False, False, False]
