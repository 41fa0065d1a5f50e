"""What a heat map shows."""

import numpy as np

from abaw_jax.training import heat_map


def draw(mean, std=np.nan):
  mean = np.array(mean, np.float64)
  return heat_map.draw(
      mean,
      np.full_like(mean, std),
      rows=[f'row {i}' for i in range(len(mean))],
      columns=[f'column {j}' for j in range(mean.shape[1])],
      title='gains',
  )


def corner(image, i, j):
  """Returns the colour of a cell where nothing is written."""
  return image[60 + 56 * i + 50, 130 + 112 * j + 105].tolist()


def test_colours_tell_the_sign_and_the_size():
  image = draw([[2.0, -2.0, 1.0], [0.0, np.nan, -0.5]])
  assert image.shape == (60 + 2 * 56, 130 + 3 * 112, 3)
  assert corner(image, 0, 0) == [33, 102, 172]
  assert corner(image, 0, 1) == [178, 24, 43]
  red, _, blue = corner(image, 0, 2)
  assert 33 < red < blue < 255
  assert corner(image, 1, 0) == [255, 255, 255]
  assert corner(image, 1, 1) == [235, 235, 235]
  assert corner(image, 1, 2)[0] > corner(image, 1, 2)[2]


def test_numbers_and_spreads_are_written():
  def ink(image):
    cell = image[60 : 60 + 54, 130 : 130 + 110]
    return int((cell != cell[50, 105]).any(axis=-1).sum())

  assert 0 < ink(draw([[1.0, 2.0]])) < ink(draw([[1.0, 2.0]], std=0.5))
  assert ink(draw([[np.nan, 2.0]])) == 0


def test_nothing_at_all_is_grey_or_white():
  assert corner(draw([[np.nan]]), 0, 0) == [235, 235, 235]
  assert corner(draw([[0.0]]), 0, 0) == [255, 255, 255]
