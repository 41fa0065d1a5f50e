"""Tiles give the image of an undivided network, for any size and order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.models.super_resolution import compact, rrdb
from abaw_jax.upscaling import tiling

# Their receptive fields are 4 and 9 pixels.
NETWORKS = {
    'compact': compact.SRVGGNetCompact(2, 4, 2),
    'rrdb': rrdb.RRDBNet(2, 4, 2, 0),
}


def images(*sizes) -> list[np.ndarray]:
  rng = np.random.default_rng(0)
  return [rng.integers(0, 256, (*x, 3)).astype(np.uint8) for x in sizes]


def repeat(batch: np.ndarray) -> np.ndarray:
  """Enlarges every pixel, so that a wrong place shows."""
  return batch.repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.parametrize('length', [16, 64, 80, 96, 208, 1008])
@pytest.mark.parametrize(('tile', 'overlap'), [(64, 8), (96, 32), (64, 0)])
def test_windows_keep_every_pixel_once_and_read_the_overlap(
    length, tile, overlap
):
  found = tiling.windows(length, tile, overlap)
  kept = [i for x in found for i in range(x.first, x.last)]
  assert kept == list(range(length))
  for window in found:
    assert window.stop - window.start == min(tile, length)
    assert window.start == 0 or window.first - window.start >= overlap
    assert window.stop == length or window.stop - window.last >= overlap
    assert window.start % 4 == 0


@pytest.mark.parametrize('overlap', [0, 3, 8])
def test_images_of_all_sizes_come_back_whole(overlap):
  originals = images((5, 7), (64, 64), (100, 37), (1, 1), (64, 200), (64, 64))
  shapes = set()

  def step(batch):
    shapes.add(batch.shape)
    return repeat(batch)

  tiler = tiling.Tiler(
      step, scale=2, batch_size=4, multiple=2, tile=64, overlap=overlap
  )
  found = dict(tiler(enumerate(originals)))
  assert sorted(found) == list(range(len(originals)))
  for i, image in enumerate(originals):
    np.testing.assert_array_equal(found[i], repeat(image[None])[0])
  for count, height, width, _ in shapes:
    assert count in (2, 4)
    assert height % tiling.STEP == width % tiling.STEP == 0
    assert max(height, width) <= 64


@pytest.mark.parametrize('name', NETWORKS)
def test_tiles_equal_the_undivided_image(name):
  model = NETWORKS[name]
  (image,) = images((112, 144))
  params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
  step = jax.jit(lambda x: model.apply(params, jnp.float32(x) / 255.0))
  whole = np.asarray(step(image[None]))[0]
  for overlap, equal in ((model.receptive_field, True), (0, False)):
    tiler = tiling.Tiler(
        step, scale=2, batch_size=4, multiple=1, tile=48, overlap=overlap
    )
    ((_, found),) = tiler([('x', image)])
    gap = np.abs(found - whole).max()
    assert bool(gap < 1e-4 * np.abs(whole).max()) is equal, gap


def test_memory_is_bounded_if_sizes_differ():
  """Images wait for others of their size, but not too many."""
  waiting, most = set(), 0

  def stream():
    nonlocal most
    for key, image in enumerate(images(*[(16 * i, 16) for i in range(1, 60)])):
      waiting.add(key)
      most = max(most, len(waiting))
      yield key, image

  tiler = tiling.Tiler(
      repeat, scale=2, batch_size=2, multiple=1, tile=1024, overlap=0
  )
  for key, _ in tiler(stream()):
    waiting.remove(key)
  assert not waiting
  assert most < 16


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'tile': 100, 'overlap': 0}, '--tile=100: is no multiple of 16'),
        (
            {'tile': 64, 'overlap': 30},
            '--overlap=30: leaves nothing of --tile=64',
        ),
    ],
)
def test_wrong_sizes_are_one_line(options, words):
  with pytest.raises(errors.InputError, match=words):
    tiling.Tiler(repeat, scale=2, batch_size=1, multiple=1, **options)
