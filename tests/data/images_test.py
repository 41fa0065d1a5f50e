"""Decoding against Pillow; squares against slices and OpenCV resizing."""

import io

import cv2
import numpy as np
from PIL import Image
import pytest

from abaw_jax.core import errors
from abaw_jax.data import images
from tests.data import corpora


def encoded(size, mode='RGB', kind='JPEG', **options) -> bytes:
  """Returns an encoded smooth random image of (width, height)."""
  noise = np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)
  image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
  file = io.BytesIO()
  image.convert(mode).save(file, kind, **options)
  return file.getvalue()


def pillow(image: bytes) -> np.ndarray:
  return np.asarray(Image.open(io.BytesIO(image)).convert('RGB'))


def filled(image: bytes, size: int) -> np.ndarray:
  out = np.full((size, size, 3), 99, np.uint8)
  images.fill(out, image)
  return out


@pytest.mark.parametrize('size', [(112, 112), (37, 53)])
@pytest.mark.parametrize(
    'options',
    [
        {},
        {'quality': 40},
        {'subsampling': 0},
        {'progressive': True},
        {'mode': 'L'},
        {'kind': 'PNG'},
        {'kind': 'BMP'},
    ],
)
def test_pixels_equal_those_of_pillow(size, options):
  image = encoded(size, **options)
  np.testing.assert_array_equal(images.decode(image), pillow(image))
  if size == (112, 112):
    np.testing.assert_array_equal(filled(image, 112), pillow(image))


@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_an_image_is_rotated_as_its_exif_data_say(kind):
  orientation = Image.Exif()
  orientation[0x0112] = 6  # the top of the face points right
  image = encoded((40, 24), kind=kind, exif=orientation)
  upright = np.rot90(pillow(image), -1)
  assert images.decode(image).shape == (40, 24, 3)
  np.testing.assert_array_equal(images.decode(image), upright)
  np.testing.assert_array_equal(filled(image, 24), upright[8:32])


# Inputs of a 24 x 24 batch: larger, equal and smaller images, and images whose
# number of pixels is above, equal to and below that of the batch.
@pytest.mark.parametrize(
    ('width', 'height'),
    [
        (40, 40), (24, 24), (16, 16), (24, 40), (40, 24), (17, 24), (36, 16),
        (16, 36), (9, 24), (25, 24), (178, 218),
    ],
)  # fmt: skip
@pytest.mark.parametrize('kind', ['JPEG', 'PNG'])
def test_faces_are_central_squares(width, height, kind):
  image = encoded((width, height), kind=kind)
  side = min(width, height)
  top, left = (height - side) // 2, (width - side) // 2
  expected = pillow(image)[top : top + side, left : left + side]
  if side != 24:
    method = cv2.INTER_AREA if side > 24 else cv2.INTER_CUBIC
    expected = cv2.resize(expected, (24, 24), interpolation=method)
  np.testing.assert_array_equal(filled(image, 24), expected)


def test_squares_keep_the_aspect_ratio():
  # A disc in a tall picture keeps equal width and height.
  picture = np.zeros((218, 178, 3), np.uint8)
  cv2.circle(picture, (89, 109), 60, (255, 255, 255), -1)
  face = filled(cv2.imencode('.png', picture)[1].tobytes(), 112)
  bright = face[..., 0] > 127
  assert abs(int(bright.any(0).sum()) - int(bright.any(1).sum())) <= 1


@pytest.mark.parametrize('size', [(112, 112), (40, 40), (150, 97), (30, 200)])
@pytest.mark.parametrize('fit', images.FITS)
@pytest.mark.parametrize('name', ['bilinear', 'bicubic'])
def test_filters_equal_those_of_pillow_within_one_grey_level(size, fit, name):
  noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
  picture = Image.fromarray(noise)
  if fit == 'crop':
    side = min(size)
    left, top = ((x - side) // 2 for x in picture.size)
    picture = picture.crop((left, top, left + side, top + side))
  for side in (24, 64, 224):
    expected = picture.resize((side, side), Image.Resampling[name.upper()])
    found = images.square(noise, size=side, resizing=images.Resizing(fit, name))
    gap = np.asarray(expected).astype(int) - found
    assert np.abs(gap).max() <= 1


def segment(marker: int, data: bytes) -> bytes:
  return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, 'big') + data


@pytest.mark.parametrize(
    'before',
    [
        segment(0xFE, b'made by a camera' * 20),
        segment(0xE2, b'ICC_PROFILE\0\1\1' + bytes(600)),
        segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0' + b'<x/>' * 30),
        segment(0xFE, bytes(60_000)),
    ],
)
def test_exif_data_after_other_segments_are_found(before):
  orientation = Image.Exif()
  orientation[0x0112] = 6
  plain = encoded((40, 24))
  exif = segment(0xE1, orientation.tobytes())
  image = plain[:2] + before + exif + plain[2:]
  upright = np.rot90(pillow(plain), -1)
  np.testing.assert_array_equal(images.decode(image), upright)
  np.testing.assert_array_equal(filled(image, 24), upright[8:32])


@pytest.mark.parametrize(
    'image',
    [b'', b'no image', b'Exif', corpora.jpeg(1)[:40], encoded((24, 24))[:-200]],
)
def test_bytes_that_are_not_an_image_are_an_error(image):
  for read in (images.decode, lambda image: filled(image, 24)):
    with pytest.raises(errors.InputError) as error:
      read(image)
    assert str(error.value).startswith(
        f'image cannot be decoded ({len(image)} bytes); replace the file'
    )


def test_opencv_uses_one_thread():
  # The pipeline has its own threads and processes.
  assert cv2.getNumThreads() == 1
