"""Checks that converted weights give the outputs of the original project."""

import functools
import pathlib
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.checkpoints import generators, runs
from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.inference import embedder
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables

# Relative to the largest value of the reference: float32 sums differ in order.
TOLERANCE = 1e-4
OUTPUTS = ('embedding', 'logits', 'enlarged')


def check_outputs(weights: pathlib.Path, reference: pathlib.Path) -> list[str]:
  """Returns a line for each compared output.

  Args:
    weights: folder of weights, or workdir of a run.
    reference: `.npz` file with `images` [n, h, w, 3], uint8 RGB pixels or
      float32 normalised input of the model, and with `embedding` [n, d],
      `logits` [n, k] or both; for a super-resolution network, with `enlarged`
      [n, h_, w_, 3], not clipped.

  Raises:
    InputError: if the file has other content, or an output differs by more
      than `TOLERANCE` times the largest value of the reference.
  """
  model = runs.read_config(weights)['model']
  if zoo.is_video(model):
    raise errors.InputError(
        f'--verify={reference}: is for networks of single images, but {weights} has '
        'a video network; leave it out'
    )
  arrays = _read_reference(reference)
  images = arrays.pop('images')
  # One device is enough for a few images.
  mesh = sharding.make_mesh(fsdp=1, devices=jax.local_devices()[:1])
  lines, wrong = [], []
  for name, want in arrays.items():
    compute = _enlarged if name == 'enlarged' else _features
    have = compute(weights, images, mesh, name)
    if have.shape != want.shape:
      wrong.append(f'{name} is {have.shape}, the reference is {want.shape}')
      continue
    gap, scale = np.abs(have - want).max(), np.abs(want).max()
    lines.append(
        f'{name}: differs by at most {gap:.1e}; largest value {scale:.1e}'
    )
    if not gap <= TOLERANCE * scale:
      wrong.append(lines[-1])
  if wrong:
    raise errors.InputError(
        f'{reference}: {weights} gives other outputs: {"; ".join(wrong)}; '
        'prepare the images as in card.json, and use the original model in '
        'evaluation mode'
    )
  return lines


def _features(
    folder: pathlib.Path, images: np.ndarray, mesh: jax.sharding.Mesh, name: str
) -> np.ndarray:
  """Returns an output of a backbone or classifier."""
  source = embedder.load(folder, mesh, output=name)
  pixels = images
  if images.dtype == np.uint8:
    faces = jnp.asarray(source.squares(images))
    pixels = source.augmentation.evaluate(faces)
  apply = functools.partial(variables.apply, source.model, train=False)
  output, _ = jax.jit(apply)(source.params, pixels)
  return np.asarray(output[name])


def _enlarged(
    folder: pathlib.Path, images: np.ndarray, mesh: jax.sharding.Mesh, name: str
) -> np.ndarray:
  """Returns the output of a super-resolution network."""
  del name
  network, params, *_ = generators.load(folder, sharding.replicated(mesh))
  pixels = jnp.asarray(images, jnp.float32)
  if images.dtype == np.uint8:
    pixels /= 255
  return np.asarray(jax.jit(network.apply)({'params': params}, pixels))


def _read_reference(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns the arrays of a reference file after checking them."""
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = dict(file)
  except (OSError, ValueError, zipfile.BadZipFile) as e:
    raise errors.InputError(
        f'{path}: cannot be read ({e}); write it with numpy.savez'
    ) from e
  images = arrays.get('images', np.zeros(0))
  known = arrays.keys() - {'images'} <= set(OUTPUTS) and len(arrays) > 1
  if not known or images.ndim != 4 or images.shape[-1] != 3:
    found = ', '.join(f'{k} {v.shape}' for k, v in arrays.items())
    raise errors.InputError(
        f'{path}: has {found or "no array"}; give images [n, h, w, 3] and '
        f'{" or ".join(OUTPUTS)}'
    )
  if images.dtype not in (np.uint8, np.float32):
    raise errors.InputError(
        f'{path}: images are {images.dtype}; give uint8 pixels or normalised '
        'float32 images'
    )
  return arrays
