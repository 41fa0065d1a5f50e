"""Broken JPEG files are found."""

import cv2
import numpy as np
import pytest

from abaw_jax.data_builders import images
from tests.data_builders import aff_wild2_tree as tree

WHOLE = tree.jpeg(0)


@pytest.mark.parametrize('padding', [b'', b'\0\0', b'made by a camera'])
def test_a_complete_jpeg_has_no_problem(padding):
  assert images.jpeg_problem(WHOLE + padding) is None


def test_a_progressive_jpeg_has_no_problem():
  pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  options = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
  data = cv2.imencode('.jpg', pixels, options)[1].tobytes()
  assert data.count(b'\xff\xda') > 1
  assert images.jpeg_problem(data) is None


@pytest.mark.parametrize('kept', [0.99, 0.9, 0.7, 0.3])
def test_a_truncated_jpeg_is_found_even_if_it_decodes(kept):
  data = WHOLE[: int(len(WHOLE) * kept)]
  assert 'cut off' in images.jpeg_problem(data)


def test_an_end_marker_in_a_thumbnail_does_not_count():
  thumbnail = b'\xff\xe1' + (len(WHOLE) + 2).to_bytes(2, 'big') + WHOLE
  data = WHOLE[:2] + thumbnail + WHOLE[2:]
  assert images.jpeg_problem(data) is None
  assert 'cut off' in images.jpeg_problem(data[:-2])


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'\xff',
        b'\x89PNG\r\n',
        cv2.imencode('.png', np.ones((8, 8)))[1].tobytes(),
    ],
)
def test_other_files_are_not_jpeg(data):
  assert images.jpeg_problem(data) == 'not a JPEG file'


def test_noise_between_the_markers_cannot_be_decoded():
  data = b'\xff\xd8' + b'\xff\xda' + b'noise' + b'\xff\xd9'
  assert 'cannot be decoded' in images.jpeg_problem(data)


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
  assert 'cannot be read' in images.file_problem(tmp_path)
  assert 'cannot be read' in images.file_problem(tmp_path / 'none.jpg')
