"""Clips of every kind: frames, timestamps, orientation, and damage."""

import struct
import sys
import types

import av
import cv2
import numpy as np
import pytest

from abaw_jax import video
from abaw_jax.core import errors
from tests.video import made_clips


def read(source, **options):
  with video.open_clip(source, **options) as clip:
    return list(clip), clip.warnings


def layout(image):
  """Returns which quarter of `quarters` is at each corner, row by row."""
  corners = image[[5, 5, -5, -5], [5, -5, 5, -5]].astype(int)
  far = np.abs(corners[:, None] - made_clips.COLOURS).sum(-1)
  return far.argmin(1).tolist()


def test_timestamps_are_those_of_presentation(tmp_path):
  # Two seconds late, at a variable rate.
  times = [2.0, 2.04, 2.1, 2.5, 2.54, 3.0, 3.001]
  images = [made_clips.quarters(level=10 * i) for i in range(len(times))]
  path = made_clips.write(tmp_path / 'clip.mkv', images, times)
  with video.open_clip(path) as clip:
    assert clip.name == 'clip'
    found = list(clip)
    assert clip.warnings == []
  assert [frame.index for frame in found] == list(range(len(times)))
  np.testing.assert_allclose([x.timestamp for x in found], times, atol=6e-4)
  for frame, image in zip(found, images, strict=True):
    assert np.abs(frame.image.astype(int) - image)[5:15, 5:15].max() < 12
    assert not frame.is_corrupt


@pytest.mark.parametrize(
    ('rotation', 'corners'),
    [(90, [1, 3, 0, 2]), (-90, [2, 0, 3, 1]), (180, [3, 2, 1, 0])],
)
def test_rotation_is_applied(tmp_path, rotation, corners):
  path = made_clips.write(
      tmp_path / 'clip.mp4', [made_clips.quarters()] * 2, rotation=rotation
  )
  for frame in read(path)[0]:
    assert frame.image.shape == (
        (48, 64, 3) if rotation == 180 else (64, 48, 3)
    )
    assert layout(frame.image) == corners


def test_a_clip_of_an_upright_phone_is_upright(tmp_path):
  path = made_clips.write(tmp_path / 'clip.mp4', [made_clips.quarters()])
  content = path.read_bytes()
  # QuickTime: [x' y' 1] = [x y 1] @ matrix. Phones write x' = -y, y' = x, a turn
  # to the right.
  plain = struct.pack('>9i', 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
  turned = struct.pack('>9i', 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
  start = content.index(plain, content.index(b'tkhd'))
  path.write_bytes(content[:start] + turned + content[start + len(plain) :])
  assert layout(read(path)[0][0].image) == [2, 0, 3, 1]


def test_a_long_pause_is_reported(tmp_path):
  times = [0, 0.04, 0.08, 0.12, 0.16, 1.0, 1.04, 1.08]
  images = [made_clips.quarters()] * len(times)
  _, warnings = read(made_clips.write(tmp_path / 'clip.mkv', images, times))
  assert warnings == ['no frames from 0.16 to 1.00 s']
  # At a variable rate, it is a pause of the recording.
  times = [0, 0.04, 0.1, 0.12, 0.2, 1.0, 1.07, 1.08]
  _, warnings = read(made_clips.write(tmp_path / 'clip.mkv', images, times))
  assert warnings == []


@pytest.mark.parametrize(
    ('name', 'codec'),
    [('clip.mp4', 'mpeg4'), ('clip.webm', 'libvpx-vp9'), ('clip.avi', 'mpeg4')],
)
def test_a_damaged_middle_loses_only_its_frames(tmp_path, name, codec):
  path = made_clips.write(
      tmp_path / name, made_clips.noise(40), codec=codec, gop=5
  )
  expected, _ = read(path)
  content = bytearray(path.read_bytes())
  middle = len(content) // 2
  rng = np.random.default_rng(0)
  content[middle : middle + 200] = rng.bytes(200)
  path.write_bytes(content)
  found, warnings = read(path)
  # WebM stores frames in groups, of which a reader finds the next one.
  assert len(found) >= (15 if codec == 'libvpx-vp9' else 38)
  assert warnings or any(frame.is_corrupt for frame in found)
  assert [frame.index for frame in found] == list(range(len(found)))
  images = {round(x.timestamp, 3): x.image for x in expected}
  for frame in (found[0], found[-1]):
    np.testing.assert_array_equal(
        frame.image, images[round(frame.timestamp, 3)]
    )


def test_a_clip_that_is_cut_off_gives_its_frames(tmp_path):
  path = made_clips.write(
      tmp_path / 'clip.webm', made_clips.noise(30), codec='libvpx-vp9'
  )
  path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
  found, warnings = read(path)
  assert 10 < len(found) < 25
  assert warnings == [
      f'the last frame is at {found[-1].timestamp:.2f} s; the header claims 1.20 s'
  ]


def test_without_timestamps_the_frame_rate_counts(tmp_path):
  path = made_clips.write(
      tmp_path / 'raw.h264', made_clips.noise(5), codec='libx264'
  )
  found, warnings = read(path)
  np.testing.assert_allclose(
      [x.timestamp for x in found], np.arange(5) / 25, atol=1e-6
  )
  assert warnings == [
      '5 frames have no timestamp; computed from the frame rate'
  ]


def test_a_gif_has_its_own_times(tmp_path):
  times = [0, 0.1, 0.5]
  path = made_clips.write(
      tmp_path / 'clip.gif', [made_clips.quarters()] * 3, times, codec='gif'
  )
  found, _ = read(path)
  np.testing.assert_allclose([x.timestamp for x in found], times, atol=1e-6)
  assert layout(found[2].image) == [0, 1, 2, 3]


def test_folders_of_images(tmp_path):
  for number in (9, 10, 12):
    image = made_clips.quarters(level=number)
    cv2.imwrite(str(tmp_path / f'{number}.png'), image[..., ::-1])
  (tmp_path / '11.png').write_bytes(b'damaged')
  (tmp_path / '.hidden.png').write_bytes(b'')
  found, warnings = read(tmp_path, frame_rate=10)
  assert [frame.index for frame in found] == [0, 1, 2]
  # A missing number is a gap in time.
  np.testing.assert_allclose([x.timestamp for x in found], [0, 0.1, 0.3])
  np.testing.assert_array_equal(found[2].image, made_clips.quarters(level=12))
  assert warnings == ['11.png cannot be decoded']
  assert '30 images/s' in read(tmp_path)[1][0]
  found, warnings = read(tmp_path / '9.png')
  assert (len(found), found[0].timestamp, warnings) == (1, 0, [])


def test_frames_are_read_once_and_lazily(tmp_path):
  path = made_clips.write(tmp_path / 'clip.mp4', made_clips.noise(5))
  with video.open_clip(path) as clip:
    assert [frame.index for frame, _ in zip(clip, range(2), strict=False)] == [
        0,
        1,
    ]
  assert list(clip) == []


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('empty.mp4', b'', 'empty'),
        ('text.mp4', b'hello ' * 99, 'not a video'),
        ('notes.txt', b'hello\n' * 99, 'not a video|only video'),
        ('image.png', b'hello', 'cannot be decoded'),
        ('sound.m4a', None, 'no video in it, only audio'),
        ('missing.mp4', None, 'no such file'),
        ('folder', None, 'no image in this folder'),
        ('gs://bucket/clip.mp4', None, 'local disk'),
        ('camera:77', None, 'no such camera'),
        ('camera:first', None, 'camera:0'),
    ],
)
def test_wrong_sources_give_one_line(tmp_path, name, content, message, capfd):
  path = name if ':' in name else tmp_path / name
  if content is not None:
    path.write_bytes(content)
  elif name == 'sound.m4a':
    made_clips.write_sound(path)
  elif name == 'folder':
    path.mkdir()
  with pytest.raises(errors.InputError, match=message) as caught:
    read(path)
  assert name in str(caught.value)
  assert '\n' not in str(caught.value)
  assert capfd.readouterr() == ('', '')


def test_the_picture_of_a_record_is_no_video(tmp_path):
  path = made_clips.write_sound(tmp_path / 'sound.m4a')
  with (
      av.open(str(path)) as source,
      av.open(str(tmp_path / 'a.mp4'), 'w') as out,
  ):
    sound = out.add_stream_from_template(source.streams.audio[0])
    cover = out.add_stream('png', rate=1)
    cover.width, cover.height, cover.pix_fmt = 64, 48, 'rgb24'
    cover.disposition = av.stream.Disposition.attached_pic
    image = av.VideoFrame.from_ndarray(made_clips.quarters(), format='rgb24')
    out.mux(cover.encode(image))
    for packet in source.demux():
      if packet.dts is not None:
        packet.stream = sound
        out.mux(packet)
    out.mux(cover.encode())
  with pytest.raises(errors.InputError, match='no video in it'):
    read(tmp_path / 'a.mp4')


def test_a_camera_gives_its_frames(monkeypatch):
  class Capture:

    def __init__(self, number):
      assert number == 3
      self.left = 2
      self.released = False
      Capture.last = self

    def isOpened(self):
      return True

    def get(self, _):
      return 0.0

    def read(self):
      self.left -= 1
      return self.left >= 0, made_clips.quarters()[..., ::-1].copy()

    def release(self):
      self.released = True

  monkeypatch.setattr(cv2, 'VideoCapture', Capture)
  with video.open_clip('camera:3') as clip:
    assert (clip.name, clip.frame_rate) == ('camera_3', None)
    found = list(clip)
  assert Capture.last.released
  assert [frame.index for frame in found] == [0, 1]
  assert found[0].timestamp == 0 < found[1].timestamp
  np.testing.assert_array_equal(found[0].image, made_clips.quarters())


def test_without_pyav_there_is_advice(tmp_path, monkeypatch):
  (tmp_path / 'clip.mp4').write_bytes(b'x')
  monkeypatch.setitem(sys.modules, 'av', None)
  with pytest.raises(
      errors.InputError, match=r"pip install 'abaw_jax\[video\]'"
  ):
    video.open_clip(tmp_path / 'clip.mp4')
  assert isinstance(av, types.ModuleType)
