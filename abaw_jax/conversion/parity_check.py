"""Whether converted weights give the outputs that they gave where they are from."""

import pathlib
import zipfile

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.core import errors
from abaw_jax.distributed import sharding
from abaw_jax.inference import embedder
from abaw_jax.models.layers import variables

# Of the largest output of the reference: float32 sums in another order.
TOLERANCE = 1e-4
OUTPUTS = ('embedding', 'logits')


def verify(weights: pathlib.Path, reference: pathlib.Path) -> list[str]:
  """Returns a line for each output that was compared.

  Args:
    weights: folder of weights, or workdir of a run.
    reference: `.npz` file with `images` [n, h, w, 3], uint8 RGB as stored or
      float32 as the model takes them, and with its `embedding` [n, d], its
      `logits` [n, k] or both.

  Raises:
    InputError: if the file holds something else, or an output differs by more
      than `TOLERANCE` of the largest value of the reference.
  """
  arrays = _read(reference)
  images = jnp.asarray(arrays.pop('images'))
  # A handful of images need not be split over many devices.
  mesh = sharding.make_mesh(fsdp=1, devices=jax.local_devices()[:1])
  lines, wrong = [], []
  for name, want in arrays.items():
    source = embedder.load(weights, mesh, output=name)
    if images.dtype == jnp.uint8:
      pixels = source.augmentation.evaluate(images)
    else:
      pixels = images
    output, _ = variables.apply(
        source.model, source.params, pixels, train=False
    )
    have = np.asarray(output[name])
    if have.shape != want.shape:
      wrong.append(f'{name} is {have.shape}, there {want.shape}')
      continue
    gap, scale = np.abs(have - want).max(), np.abs(want).max()
    lines.append(f'{name}: differs by {gap:.1e} at most, of {scale:.1e}')
    if not gap <= TOLERANCE * scale:
      wrong.append(lines[-1])
  if wrong:
    raise errors.InputError(
        f'{reference}: {weights} gives something else: {"; ".join(wrong)}; were '
        'the images prepared as card.json says, and the model in evaluation?'
    )
  return lines


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns the arrays of a reference, checked."""
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
        f'{path}: holds {found or "nothing"}; give images [n, h, w, 3] and '
        f'{" or ".join(OUTPUTS)}'
    )
  if images.dtype not in (np.uint8, np.float32):
    raise errors.InputError(
        f'{path}: images are {images.dtype}; give uint8 pixels, or float32 as '
        'the model takes them'
    )
  return arrays
