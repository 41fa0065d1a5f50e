import io
from typing import get_type_hints

import corpora
import cv2
import numpy as np
from PIL import Image
import pytest

from abaw_jax import errors, labels
from abaw_jax.data import transforms


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
      'features': features,
  }


@pytest.mark.parametrize('size', [(112, 112), (37, 53)])
@pytest.mark.parametrize('options', [{}, {'quality': 40}, {'subsampling': 0}])
def test_pixels_equal_those_of_pillow(size, options):
  noise = np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)
  image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
  encoded = io.BytesIO()
  image.save(encoded, 'JPEG', **options)
  found = transforms.decode_jpeg(encoded.getvalue(), where='here')
  np.testing.assert_array_equal(found, np.asarray(Image.open(encoded)))


def test_a_grey_image_becomes_rgb():
  grey = cv2.imencode('.jpg', np.full((8, 8), 77, np.uint8))[1].tobytes()
  found = transforms.decode_jpeg(grey, where='here')
  np.testing.assert_array_equal(found, np.full((8, 8, 3), 77))


@pytest.mark.parametrize('encoded', [b'', b'no image', corpora.jpeg(1)[:40]])
def test_a_corrupt_image_names_the_frame(encoded):
  with pytest.raises(
      errors.InputError, match=r'^video v7_left frame 31: image cannot be'
  ):
    transforms.frame_example(frame(encoded), image_size=24)


def test_frames_have_the_fields_and_types_of_a_frame_batch():
  example = transforms.frame_example(frame(corpora.jpeg(1)), image_size=24)
  check_contract(example, labels.FrameBatch)
  assert example['real']


def test_windows_have_the_fields_and_types_of_a_sequence_batch():
  example = transforms.window_example(window(), length=5)
  check_contract(example, labels.SequenceBatch)
  assert example['real']


def check_contract(example, contract):
  """Batches of two examples must satisfy the jaxtyping shapes of `labels`."""
  hints = get_type_hints(contract)
  assert example.keys() == hints.keys()
  for field, hint in hints.items():
    batch = np.array([example[field], example[field]])
    assert isinstance(batch, hint), (field, batch.shape, batch.dtype)
  for field in ('valence', 'arousal'):
    assert np.asarray(example[field]).dtype == np.float32
  for field in ('expression', 'row'):
    assert np.asarray(example[field]).dtype == np.int32


def test_sentinels_of_a_frame_become_zero():
  example = transforms.frame_example(
      frame(
          corpora.jpeg(1),
          valence=np.float32(labels.VA_MISSING),
          arousal=np.float32(labels.VA_MISSING),
          expression=np.int32(labels.EXPRESSION_MISSING),
          au=np.full(12, labels.AU_MISSING, np.int8),
          va=np.False_,
          expr=np.False_,
          au_mask=np.zeros(12, bool),
      ),
      image_size=24,
  )
  for field in ('valence', 'arousal', 'expression', 'au'):
    assert not np.any(example[field]), field


def test_labels_under_a_true_mask_are_kept():
  example = transforms.frame_example(frame(corpora.jpeg(1)), image_size=24)
  given = frame(b'')
  for field in ('valence', 'arousal', 'expression', 'au', 'row'):
    np.testing.assert_array_equal(example[field], given[field])


def test_windows_are_padded_and_free_of_sentinels():
  given = window(n=7)
  example = transforms.window_example(given, length=10)
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
def test_bad_features_name_the_frame(value):
  given = window()
  given['features'][2, 1] = value
  message = f'video v frame {given["frame_id"][2]}: features are NaN'
  with pytest.raises(errors.InputError, match=message):
    transforms.window_example(given, length=3)


@pytest.mark.parametrize(
    ('stored', 'interpolation'),
    [(40, cv2.INTER_AREA), (24, None), (16, cv2.INTER_CUBIC)],
)
def test_faces_are_resized_only_if_they_differ(stored, interpolation):
  record = frame(corpora.jpeg(4, stored))
  example = transforms.image_example(record, image_size=24)
  expected = np.asarray(Image.open(io.BytesIO(record['image'])))
  if interpolation is not None:
    expected = cv2.resize(expected, (24, 24), interpolation=interpolation)
  assert example.keys() == {'image', 'real'}
  np.testing.assert_array_equal(example['image'], expected)


def test_a_sequence_record_is_decoded_frame_by_frame():
  images = [corpora.jpeg(seed, size) for seed, size in enumerate((24, 40, 16))]
  record = frame(images, frame_id=np.array([2, 5, 9], np.int32))
  found = transforms.decode_record(record, image_size=24)
  assert found['image'].shape == (3, 24, 24, 3)
  for image, encoded in zip(found['image'], images, strict=True):
    example = transforms.image_example(frame(encoded), image_size=24)
    np.testing.assert_array_equal(image, example['image'])
  assert {k for k in record if found[k] is not record[k]} == {'image'}
  record['image'][1] = b'no image'
  with pytest.raises(errors.InputError, match='video v7_left frame 5: image'):
    transforms.decode_record(record, image_size=24)
