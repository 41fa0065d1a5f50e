"""JPEG faces for benchmarks, as files and as a built dataset."""

import pathlib

import cv2
import numpy as np

from abaw_jax.data_builders import build
from abaw_jax.data_builders.procedural import corpus

_VIDEOS = 16
_FRAMES = 32  # mean per video
_GRAIN = 4.0  # standard deviation of camera noise, in grey levels
_QUALITY = 90


def prepare(root: pathlib.Path, size: int) -> pathlib.Path:
  """Creates faces and the dataset `face_images/folders`, if they are missing.

  Faces of 112 pixels are procedural faces without changes. Larger faces are
  enlarged, with noise, so that they have the detail of photographs.

  Args:
    root: folder for all sizes.
    size: side of the faces in pixels.

  Returns:
    Folder of the dataset; its folder `files` has the images.
  """
  corpus.write(
      root / 'rendered', videos=_VIDEOS, frames=_FRAMES, seed=0, workers=2
  )
  folder = root / str(size)
  files = folder / 'files'
  if not files.exists():
    draft = folder / 'draft'
    draft.mkdir(parents=True, exist_ok=True)
    rendered = sorted((root / 'rendered').rglob('*.jpg'))
    for number, path in enumerate(rendered):
      image = path.read_bytes()
      if size != 112:
        image = _enlarged(image, size, number)
      (draft / f'{number:06d}.jpg').write_bytes(image)
    draft.rename(files)
  build.build(
      'face_images', source_dir=files, data_dir=folder, configs=('folders',)
  )
  return folder


def _enlarged(encoded: bytes, size: int, seed: int) -> bytes:
  image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
  image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
  grain = np.random.default_rng(seed).normal(0.0, _GRAIN, image.shape)
  image = np.clip(np.round(image + grain), 0, 255).astype(np.uint8)
  options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
  return cv2.imencode('.jpg', image, options)[1].tobytes()
