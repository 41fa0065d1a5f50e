"""The overlay shows the values: lengths of bars, boxes, and the point in the plane."""

import numpy as np
import pytest

from abaw_jax.tables import painting, rows

LAYOUT = rows.Layout(True, ('Neutral', 'Anger', 'Happiness'), ('AU01', 'AU12'))
COLOR = np.array(painting._PALETTE[1])


def face(**values):
  """Returns face 1 at (40, 30, 140, 160) with some values."""
  all_values = dict.fromkeys(LAYOUT.names, 0.0) | values
  geometry = np.full(14, np.nan, np.float32)
  geometry[:4] = 40, 30, 140, 160
  return rows.FaceRow(
      face_id=1,
      confidence=0.9,
      detected=True,
      geometry=geometry,
      values=np.array(list(all_values.values()), np.float32),
  )


def paint(*faces, width=640, height=360):
  painter = painting.Painter(LAYOUT, width, height)
  image = np.zeros([height, width, 3], np.uint8)
  canvas = painter.paint(image, rows.FrameRows(3, 0.1, False, faces))
  assert canvas.shape == (*painter.size[::-1], 3)
  return canvas, painter


@pytest.mark.parametrize('prob', [0.3, 0.6, 0.9])
def test_a_bar_is_as_long_as_its_probability(prob):
  canvas, painter = paint(face(expr_Anger=prob, AU12=prob))
  panel = canvas[:, 640:]
  left, top, width = [*painter._expression_bars()][1]
  line = panel[top + 6, left : left + width]
  assert np.all(line == COLOR, axis=-1).sum() == pytest.approx(
      prob * width, abs=1
  )
  left, top, width = [*painter._au_bars()][1]
  line = panel[top + 6, left : left + width]
  shown = COLOR if prob >= 0.5 else painting._DIM
  assert np.all(line == shown, axis=-1).sum() == pytest.approx(
      prob * width, abs=1
  )


@pytest.mark.parametrize(('size', 'zoom'), [((640, 360), 1), ((320, 180), 2)])
def test_the_box_is_where_the_face_is(size, zoom):
  canvas, _ = paint(face(), width=size[0], height=size[1])
  picture = np.all(canvas[:, : size[0] * zoom] == COLOR, axis=-1)
  left, top, right, bottom = np.multiply((40, 30, 140, 160), zoom)
  middle = (top + bottom) // 2
  columns = np.flatnonzero(picture[middle])
  assert np.abs(columns[0] - left) <= 2
  assert np.abs(columns[-1] - right) <= 2
  assert not picture[middle, left + 5 : right - 5].any()
  assert np.flatnonzero(picture.any(axis=1))[-1] >= bottom


def test_the_point_is_at_valence_and_arousal():
  canvas, painter = paint(face(valence=-0.5, arousal=0.8))
  left, top, side = painter._plane()
  panel = np.all(canvas[:, 640:] == COLOR, axis=-1)[int(top) :]
  y, x = np.argwhere(panel).mean(axis=0)
  assert x == pytest.approx(left + 0.25 * side, abs=1.5)
  assert y == pytest.approx(0.1 * side, abs=1.5)


def test_every_size_of_a_picture_is_even_and_readable():
  for width, height in ((112, 112), (1920, 1080), (1080, 1920), (641, 361)):
    canvas, _ = paint(face(), width=width, height=height)
    assert 360 <= canvas.shape[0] <= 720
    assert canvas.shape[0] % 2 == canvas.shape[1] % 2 == 0


def test_frames_without_a_face_and_models_without_some_outputs():
  canvas, _ = paint()
  assert not canvas[:, :640].any()
  for layout in (
      rows.Layout(True, (), ()),
      rows.Layout(False, ('Neutral', 'Anger'), ()),
  ):
    values = np.zeros(len(layout.names), np.float32)
    row = rows.FaceRow(0, 1.0, True, face().geometry, values)
    frame = rows.FrameRows(0, 0.0, False, (row,))
    image = np.zeros([360, 640, 3], np.uint8)
    assert painting.Painter(layout, 640, 360).paint(image, frame).any()
