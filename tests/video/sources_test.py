"""Clips in folders, and their names."""

import os
import pathlib

import pytest

from abaw_jax import video
from abaw_jax.core import errors


def touch(root, *names):
  for name in names:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def names(found, root):
  return {
      clip.name: pathlib.Path(clip.source).relative_to(root).as_posix()
      for clip in found
  }


def test_folders_are_searched(tmp_path):
  touch(
      tmp_path, 'a.mp4', 'sub/b.WEBM', 'sub/faces/1.jpg', 'sub/faces/2.jpg',
      'sub/list.csv', '.cache/c.mp4', '__MACOSX/._a.mp4',
  )  # fmt: skip
  assert names(video.find_clips([tmp_path]), tmp_path) == {
      'a': 'a.mp4',
      'b': 'sub/b.WEBM',
      'faces': 'sub/faces',
  }


def test_equal_names_get_more_of_their_path(tmp_path):
  touch(tmp_path, 'x/1.mp4', 'y/1.mp4', 'y/2.mp4', 'y/2.avi', 'x_1.mp4')
  found = names(video.find_clips([tmp_path]), tmp_path)
  assert len(set(found)) == 5
  assert found['y_1'] == 'y/1.mp4'
  assert (found['2.mp4'], found['2.avi']) == ('y/2.mp4', 'y/2.avi')
  assert set(found.values()) == {
      'x/1.mp4', 'y/1.mp4', 'y/2.mp4', 'y/2.avi', 'x_1.mp4',
  }  # fmt: skip


def test_a_clip_is_read_once(tmp_path, monkeypatch):
  touch(tmp_path, 'a.mp4', 'b.mp4')
  monkeypatch.chdir(tmp_path)
  found = video.find_clips(['b.mp4', tmp_path, os.path.join('.', 'a.mp4')])
  assert [clip.name for clip in found] == ['b', 'a']
  assert video.find_clips(['camera:0']) == [('camera_0', 'camera:0')]


@pytest.mark.parametrize(
    ('made', 'message'),
    [
        (['list.csv'], 'no video or image in it'),
        (['a.mp4', 'thumbnail.jpg'], 'has images and clips, such as a.mp4'),
    ],
)
def test_wrong_folders_give_one_line(tmp_path, made, message):
  touch(tmp_path, *made)
  with pytest.raises(errors.InputError, match=message):
    video.find_clips([tmp_path])
