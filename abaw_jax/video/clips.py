"""Clips of every kind: videos, images, folders of images, cameras."""

import collections
from collections.abc import Callable, Iterable, Iterator
import itertools
import os
import pathlib
from typing import Any, NamedTuple

from abaw_jax.core import errors, files
from abaw_jax.video import camera, frames, packets, pictures

SUFFIXES = frozenset(
    [
        '.3g2',
        '.3gp',
        '.asf',
        '.avi',
        '.divx',
        '.dv',
        '.f4v',
        '.flv',
        '.gif',
        '.m2ts',
        '.m2v',
        '.m4v',
        '.mjpeg',
        '.mkv',
        '.mov',
        '.mp4',
        '.mpeg',
        '.mpg',
        '.mts',
        '.mxf',
        '.ogg',
        '.ogv',
        '.qt',
        '.rm',
        '.ts',
        '.vob',
        '.webm',
        '.wmv',
        '.y4m',
    ]
)
_CAMERA = 'camera:'


class Source(NamedTuple):
  """A clip that was found.

  Attributes:
    name: stem of its output files, unique in its list.
    source: path of a file or a folder of images, or 'camera:0'.
  """

  name: str
  source: str


class Clip:
  """An open clip: a context manager whose frames are read once, one by one.

  Attributes:
    name: stem of output files.
    source: as the user gave it.
    frame_rate: frames per second that the header claims; for progress only.
    expected_frames: number of frames that the header claims; for progress only.
    warnings: lines about lost packets or images, filled while reading.
  """

  def __init__(
      self,
      found: Source,
      read: Callable[[], Iterator[frames.Frame]],
      *,
      warnings: list[str],
      frame_rate: float | None,
      expected_frames: int | None,
      close: Callable[[], None] = lambda: None,
  ):
    """Takes the parts; `open_clip` finds them.

    Args:
      found: name and source.
      read: returns the frames.
      warnings: list that `read` fills.
      frame_rate: see the attribute.
      expected_frames: see the attribute.
      close: called at the end.
    """
    self.name, self.source = found
    self.frame_rate = frame_rate
    self.expected_frames = expected_frames
    self.warnings = warnings
    self._frames = read()
    self._close = close

  def __enter__(self) -> 'Clip':
    return self

  def __exit__(self, *_: Any) -> None:
    self.close()

  def __iter__(self) -> Iterator[frames.Frame]:
    return self._frames

  def close(self) -> None:
    """Closes the file or the camera; no frame follows."""
    self._frames.close()
    self._close()


def open_clip(
    source: str | os.PathLike[str] | Source, *, frame_rate: float | None = None
) -> Clip:
  """Opens a clip.

  Args:
    source: path of a video, a GIF, an image or a folder of images, or 'camera:0'
      for the first camera; or an element of `find_clips`.
    frame_rate: images per second of a folder; default: 30.

  Raises:
    InputError: it is none of these, or has no picture.
  """
  if not isinstance(source, Source):
    source = Source(_stem(source), os.fspath(source))
  warnings = []
  if source.source.startswith(_CAMERA):
    device = camera.Camera(source.source)
    return Clip(
        source,
        device.read,
        warnings=warnings,
        frame_rate=device.frame_rate,
        expected_frames=None,
        close=device.close,
    )
  path = _existing(source.source)
  if path.is_dir() or pictures.is_image(path):
    return _open_images(source, path, frame_rate, warnings)
  video = packets.VideoFile(path, warnings)
  return Clip(
      source,
      video.read,
      warnings=warnings,
      frame_rate=video.frame_rate,
      expected_frames=video.expected_frames,
      close=video.close,
  )


def find_clips(
    sources: Iterable[str | os.PathLike[str]],
) -> list[Source]:
  """Finds clips in files and folders.

  A folder with images in it is one clip. In other folders, every video is a clip,
  and every folder inside is searched as well. Clips have the name of their file
  without its suffix. If two share it, more of their paths comes in front.

  Args:
    sources: paths of files and folders, or 'camera:0'.

  Raises:
    InputError: a path does not exist, or a folder has no clip, or has both
      images and videos: it is not clear whether the images are a clip.
  """
  found = []
  for source in sources:
    text = os.fspath(source)
    if text.startswith(_CAMERA):
      found.append(text)
      continue
    path = _existing(text)
    clips = _in_folder(path) if path.is_dir() else [path]
    if not clips:
      raise errors.InputError(
          f'{path}: no video or image in it; give a folder of clips, or name the '
          'files'
      )
    found += map(str, clips)
  by_place = {
      text if text.startswith(_CAMERA) else pathlib.Path(text).resolve(): text
      for text in reversed(found)
  }
  return _named([by_place[place] for place in reversed(by_place)])


def _open_images(
    source: Source,
    path: pathlib.Path,
    frame_rate: float | None,
    warnings: list[str],
) -> Clip:
  paths = [path]
  if path.is_dir():
    paths = pictures.sorted_images(path)
    if not paths:
      raise errors.InputError(
          f'{path}: no image in this folder; give a video or a folder of images'
      )
    if frame_rate is None:
      frame_rate = frames.DEFAULT_RATE
      warnings.append(
          f'images have no timestamps; computed for {frame_rate:g} images/s'
      )
  rate = frame_rate or frames.DEFAULT_RATE
  return Clip(
      source,
      lambda: pictures.read(paths, rate, warnings),
      warnings=warnings,
      frame_rate=rate if path.is_dir() else None,
      expected_frames=len(paths),
  )


def _existing(source: str) -> pathlib.Path:
  path = files.local_path(source, 'clip')
  if not path.exists():
    raise errors.InputError(f'{source}: no such file; check the path')
  return path


def _in_folder(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the clips in a folder, by name."""
  children = [x for x in sorted(folder.iterdir()) if not pictures.is_hidden(x)]
  clips = []
  for path in children:
    if path.is_dir():
      clips += _in_folder(path)
    elif path.suffix.lower() in SUFFIXES:
      clips.append(path)
  if not any(pictures.is_image(x) for x in children if x.is_file()):
    return clips
  if clips:
    raise errors.InputError(
        f'{folder}: has images and clips, such as {clips[0].name}; move one kind '
        'to another folder, or name the files'
    )
  return [folder]


def _stem(source: str | os.PathLike[str]) -> str:
  text = os.fspath(source)
  if text.startswith(_CAMERA):
    return text.replace(':', '_')
  path = pathlib.Path(text).resolve()
  return path.name if path.is_dir() else path.stem


def _named(found: list[str]) -> list[Source]:
  """Returns sources with the shortest names that no other source could have."""
  choices = [_possible_names(text) for text in found]
  counts = collections.Counter(name for names in choices for name in set(names))
  sources = []
  for text, names in zip(found, choices, strict=True):
    # a/b.mp4 and a_b.mp4 have all names in common.
    numbered = (f'{names[0]}-{number}' for number in itertools.count(1))
    alone = (x for x in itertools.chain(names, numbered) if counts[x] < 2)
    name = next(alone)
    counts[name] += 1
    sources.append(Source(name, text))
  return sources


def _possible_names(source: str) -> list[str]:
  """Returns names of a clip, each with more of its path than the one before."""
  stem = _stem(source)
  if source.startswith(_CAMERA):
    return [stem]
  path = pathlib.Path(source).resolve()
  names = []
  for length in range(1, len(path.parts)):
    parents = '_'.join(path.parts[-length:-1])
    start = f'{parents}_' if parents else ''
    names += [start + stem, start + path.name]
  return names
