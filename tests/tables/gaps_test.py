"""Short gaps of a face are filled linearly; longer ones stay."""

import numpy as np

from abaw_jax.tables import gaps, rows


def frame(index, *faces):
  return rows.FrameRows(
      index,
      index / 10,
      False,
      tuple(
          rows.FaceRow(
              face_id=face_id,
              confidence=0.5,
              detected=True,
              geometry=np.full(14, 100.0 + index, np.float32),
              values=np.array([index, face_id], np.float32),
          )
          for face_id in faces
      ),
  )


def filled(frames, longest, parts):
  filling = gaps.GapFilling(longest)
  found = []
  for start in range(0, len(frames), parts):
    found += filling.push(frames[start : start + parts])
  return found + filling.finish()


def test_short_gaps_are_linear_in_time():
  there = {0: [0, 1], 1: [0], 2: [], 3: [0], 4: [1], 5: [0, 1]}
  frames = [frame(index, *faces) for index, faces in there.items()]
  for parts in (1, 2, 6):
    found = filled(frames, 0.4, parts)
    assert [x.index for x in found] == list(range(6))
    for x in found:
      assert [face.face_id for face in x.faces] == [0, 1]
      for face in x.faces:
        assert face.interpolated is (face.face_id not in there[x.index])
        np.testing.assert_allclose(face.values, [x.index, face.face_id])
        np.testing.assert_allclose(face.geometry, 100 + x.index)
        assert not (face.interpolated and (face.detected or face.is_read))


def test_long_gaps_and_ends_stay_empty():
  frames = [
      frame(0),
      frame(1, 0),
      *map(frame, range(2, 8)),
      frame(8, 0),
      frame(9),
  ]
  for longest in (0.0, 0.5):
    assert filled(frames, longest, 3) == frames


def test_frames_do_not_wait_longer_than_the_longest_gap():
  filling = gaps.GapFilling(0.3)
  done = 0
  for given, index in enumerate(range(50), start=1):
    done += len(filling.push([frame(index, *[0] * (index < 20))]))
    assert given - done <= 4
