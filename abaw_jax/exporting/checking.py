"""Comparison of an exported network with the network in JAX."""

from collections.abc import Callable, Mapping, Sequence
import statistics
import time

import jax
import numpy as np

from abaw_jax.core import errors, files
from abaw_jax.data import images
from abaw_jax.exporting import functions
from abaw_jax.inference import embedder

Call = Callable[..., Mapping[str, np.ndarray]]
_NUM_RANDOM = 4
_CALLS = 5  # to time


def pictures(
    source: embedder.Embedder, paths: Sequence[files.Path]
) -> np.ndarray:
  """Returns faces uint8 [n, s, s, 3] to compare with: noise, gradients, files.

  Raises:
    InputError: a file is no image; names it.
  """
  size = source.decoding['image_size']
  rng = np.random.default_rng(0)
  noise = rng.integers(0, 256, (_NUM_RANDOM, size, size, 3))
  ramp = np.linspace(0, 255, size)
  smooth = np.stack(
      np.broadcast_arrays(ramp[:, None], ramp[None], 255 - ramp[None]), axis=-1
  )
  parts = [noise.astype(np.uint8), smooth[None].astype(np.uint8)]
  if paths:
    parts.append(source.squares([_decode(path) for path in paths]))
  return np.concatenate(parts)


def largest_error(
    function: functions.Function,
    call: Call,
    batches: Sequence[tuple[np.ndarray, ...]],
    path: files.Path,
) -> float:
  """Returns the largest difference, relative to the largest value and 1.

  Padding is not compared.

  Args:
    function: the network in JAX.
    call: the exported network.
    batches: inputs of each comparison; two sizes show that sizes are dynamic.
    path: of the exported network, for messages.

  Raises:
    InputError: the difference is above the tolerance, or an output is not finite.
  """
  names = [tensor.name for tensor in function.inputs]
  reference = jax.jit(function.call)
  largest = 0.0
  for arrays in batches:
    want, found = jax.device_get(reference(*arrays)), call(*arrays)
    inputs = dict(zip(names, arrays, strict=True))
    for tensor in function.outputs:
      a, b = want[tensor.name], np.asarray(found[tensor.name])
      if a.shape != b.shape or a.dtype != b.dtype:
        raise errors.InputError(
            f'{path}: {tensor.name} is {b.dtype} {b.shape} and must be {a.dtype} '
            f'{a.shape}; nothing was written'
        )
      if tensor.shape[:2] == ('b', 't'):
        a, b = a[inputs['mask']], b[inputs['mask']]
      error = np.abs(a - b).max() / max(1.0, np.abs(a).max())
      if not error <= function.tolerance:  # also for NaN
        raise errors.InputError(
            f'{path}: {tensor.name} differs by {error:.2g} from JAX, and '
            f'{function.tolerance:.2g} is allowed; nothing was written, choose '
            'another --format'
        )
      largest = max(largest, float(error))
  return largest


def milliseconds(call: Call, arrays: Sequence[np.ndarray]) -> float:
  """Returns the median time of a call with the first row of each input."""
  one = [array[:1] for array in arrays]
  jax.block_until_ready(call(*one))
  seconds = []
  for _ in range(_CALLS):
    start = time.perf_counter()
    jax.block_until_ready(call(*one))
    seconds.append(time.perf_counter() - start)
  return 1000 * statistics.median(seconds)


def face_batches(faces: np.ndarray) -> list[tuple[np.ndarray]]:
  """Returns the inputs of comparisons of a frame network."""
  return [(faces,), (faces[-1:],)]


def window_batches(
    function: functions.Function, features: np.ndarray
) -> list[tuple[np.ndarray, ...]]:
  """Returns the inputs of comparisons of a temporal model.

  Args:
    function: the temporal model.
    features: float32 [n, d], of the faces of `pictures`.
  """
  rng = np.random.default_rng(0)
  length = function.facts['window']
  batches = []
  for rows, frames in ((2, length), (3, max(length // 2, 1)), (1, 1)):
    chosen = rng.integers(0, len(features), (rows, frames))
    noise = rng.normal(0, features.std(), (rows, frames, features.shape[1]))
    real = rng.integers(1, frames + 1, rows)
    real[0] = frames
    numbers = np.arange(frames, dtype=np.int32)
    carry = [
        rng.normal(0, 0.5, (rows, *shape)).astype(np.float32)
        for shape in function.facts['carry']
    ]
    batches.append(
        (
            (features[chosen] + noise).astype(np.float32),
            np.tile(numbers, (rows, 1)),
            numbers < real[:, None],
            np.full(rows, frames, np.int32),
            *carry,
        )
    )
  return batches


def _decode(path: files.Path) -> np.ndarray:
  try:
    return images.decode(path.read_bytes())
  except (OSError, errors.InputError) as e:
    raise errors.InputError(
        f'--faces={path}: cannot be read ({e}); give image files'
    ) from e
