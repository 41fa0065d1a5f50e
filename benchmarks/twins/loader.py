"""Reference input pipeline: PyTorch's DataLoader over image files."""

from collections.abc import Iterator, Sequence
import math
import pathlib
import random

import numpy as np
from PIL import Image
import torch
from torch.utils import data

_BOX_TRIES = 10


class FaceFiles(data.Dataset):
  """Faces with the usual transforms of torchvision, without torchvision.

  RandomResizedCrop (bicubic), RandomHorizontalFlip, ToTensor and Normalize.
  """

  def __init__(
      self,
      paths: Sequence[pathlib.Path],
      *,
      size: int,
      crop_scale: float,
      mean: Sequence[float],
      std: Sequence[float],
  ):
    self._paths = [str(path) for path in paths]
    self._size = size
    self._scale = crop_scale
    self._mean = torch.tensor(mean)[:, None, None]
    self._std = torch.tensor(std)[:, None, None]

  def __len__(self) -> int:
    return 2**31  # endless for a benchmark

  def __getitem__(self, index: int) -> torch.Tensor:
    with Image.open(self._paths[index % len(self._paths)]) as file:
      image = file.convert('RGB')
    image = image.resize(
        (self._size, self._size),
        Image.Resampling.BICUBIC,
        box=self._box(*image.size),
    )
    if random.random() < 0.5:
      image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(image))
    pixels = pixels.permute(2, 0, 1).contiguous().to(torch.float32).div_(255)
    return pixels.sub_(self._mean).div_(self._std)

  def _box(self, width: int, height: int) -> tuple[int, int, int, int]:
    for _ in range(_BOX_TRIES):
      area = width * height * random.uniform(self._scale, 1.0)
      ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
      w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
      if 0 < w <= width and 0 < h <= height:
        left, top = random.randint(0, width - w), random.randint(0, height - h)
        return left, top, left + w, top + h
    return 0, 0, width, height


def batches(
    faces: FaceFiles, *, batch_size: int, num_workers: int
) -> Iterator[torch.Tensor]:
  """Returns an endless iterator over batches, float32 [b,3,s,s]."""
  torch.set_num_threads(1)
  loader = data.DataLoader(
      faces,
      batch_size=batch_size,
      # Random order would need a list of all 2**31 indices.
      sampler=data.SequentialSampler(faces),
      num_workers=num_workers,
      multiprocessing_context='spawn' if num_workers else None,
  )
  return iter(loader)
