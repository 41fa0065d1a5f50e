"""Writes small source folders in the layout of s-Aff-Wild2."""

import dataclasses
import pathlib
import zlib

import cv2
import numpy as np

HEADER = 'image,valence,arousal,expression,aus'
ZEROS = ','.join(['0'] * 12)
MISSING = ','.join(['-1'] * 12)


def jpeg(seed: int) -> bytes:
  """Returns an encoded random image."""
  noise = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
  return cv2.imencode('.jpg', noise)[1].tobytes()


def line(image: str, va='0.5,-0.25', expression='3', aus=ZEROS) -> str:
  """Returns a labelled line."""
  return f'{image},{va},{expression},{aus}'


@dataclasses.dataclass
class Tree:
  """Lists and images of a source; a test changes the lines, then writes it."""

  train: list[str]
  validation: list[str]
  test: list[str] | None

  def write(self, root: pathlib.Path) -> pathlib.Path:
    """Writes the folder with an image for every line, and returns it."""
    lists = {
        'training_set_annotations.txt': self.train,
        'validation_set_annotations.txt': self.validation,
        'test_set/MTL_Challenge_test_set_release.txt': self.test,
    }
    for name, lines in lists.items():
      if lines is None:
        continue
      path = root / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text('\n'.join([*lines, '']))
      for text in lines:
        image = text.split(',')[0]
        if image.endswith('.jpg') and '..' not in image and image[0] != '/':
          write_image(path.parent / 'cropped_aligned' / image)
    return root


def write_image(path: pathlib.Path) -> None:
  """Writes an image that depends on its name."""
  path.parent.mkdir(parents=True, exist_ok=True)
  name = f'{path.parent.name}/{path.name}'
  path.write_bytes(jpeg(zlib.crc32(name.encode())))


def small() -> Tree:
  """Returns a source without problems: unordered frames, repeats, missing labels."""
  train = [HEADER]
  for frame in (50, 7, 1, 3, 60, 3):  # frame 3 is repeated
    train.append(line(f'116/{frame:05d}.jpg'))
  train.append(line('video9_left/00002.jpg', '-5,-5', '-1', MISSING))
  train.append(line('video9_left/00010.jpg', '-5.0,0.1', '7'))
  train.append(line('video9_left/00001.jpg', '1,-1', '-1', '1,-1' + ',0' * 10))
  validation = [HEADER, line('28/00004.jpg', '0,0', '0', '1' + ',1' * 11)]
  test = ['image,', 'video45_1/00017.jpg,', 'video45_1/00008.jpg,']
  test += ['video45_1/00017.jpg,']
  return Tree(train, validation, test)


def long_video(num_frames: int) -> list[str]:
  """Returns a labelled list of one video in reverse order."""
  frames = range(3 * num_frames, 0, -3)
  return [HEADER, *(line(f'long/{frame:05d}.jpg') for frame in frames)]
