"""Written videos are read again, and appear complete or not at all."""

import av
import numpy as np
import pytest

from abaw_jax import video
from abaw_jax.core import errors
from tests.video import made_clips


def test_frames_and_times_come_back(tmp_path):
  path = tmp_path / 'folder' / 'clip.webm'
  times = [0.5, 0.54, 0.54, 1.0]
  with video.WebmWriter(path, 25.0) as writer:
    for i, time in enumerate(times):
      # An odd size, and a frame of another size.
      image = made_clips.quarters(level=5 * i)[: 47 if i < 3 else 24]
      writer.add(image, time)
    assert not path.exists()
  with video.open_clip(path) as clip:
    found = list(clip)
  assert list(path.parent.iterdir()) == [path]
  # Players need times that rise.
  np.testing.assert_allclose(
      [x.timestamp for x in found], [0.5, 0.54, 0.541, 1.0], atol=6e-4
  )
  assert found[0].image.shape == (46, 64, 3)
  difference = np.abs(found[1].image[5:15, 5:15] - (made_clips.COLOURS[0] + 5))
  assert difference.max() < 15
  with av.open(str(path)) as container:
    assert container.streams.video[0].codec_context.name.startswith(
        ('vp9', 'libvpx-vp9')
    )
    assert 'webm' in container.format.name


def test_the_same_frames_are_the_same_bytes(tmp_path):
  for name in 'ab':
    with video.WebmWriter(tmp_path / name, 25.0) as writer:
      for i, image in enumerate(made_clips.noise(3)):
        writer.add(image, i / 25)
  assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()


def write_and_fail(path):
  with video.WebmWriter(path, 25.0) as writer:
    writer.add(made_clips.quarters(), 0.0)
    raise RuntimeError


def test_a_failure_leaves_the_file_before(tmp_path):
  path = tmp_path / 'clip.webm'
  path.write_bytes(b'before')
  with pytest.raises(RuntimeError):
    write_and_fail(path)
  assert path.read_bytes() == b'before'
  assert list(tmp_path.iterdir()) == [path]


def test_without_frames_there_is_no_file(tmp_path):
  with video.WebmWriter(tmp_path / 'clip.webm', 25.0):
    pass
  assert list(tmp_path.iterdir()) == []


def write_to_a_full_disk(path):
  with video.WebmWriter(path, 25.0) as writer:
    # A device on which every write fails for lack of space.
    writer._temporary.symlink_to('/dev/full')
    for i, image in enumerate(made_clips.noise(8, 320, 240)):
      writer.add(image, i)


def test_a_full_disk_gives_one_line(tmp_path):
  with pytest.raises(
      errors.InputError, match=r'cannot write clip\.webm \(No space'
  ):
    write_to_a_full_disk(tmp_path / 'clip.webm')
  assert list(tmp_path.iterdir()) == []
