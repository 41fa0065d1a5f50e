"""Networks that enlarge images, and Lanczos interpolation as the baseline."""

import abc
from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8
import numpy as np
from PIL import Image

from abaw_jax.checkpoints import generators, parameters
from abaw_jax.core import errors, files
from abaw_jax.distributed import sharding
from abaw_jax.upscaling import tiling

LANCZOS = 'lanczos'
TILE = 256  # pixels
BATCH_PER_DEVICE = 8
# The default is the receptive field, but at most so many pixels.
MAX_OVERLAP = 32

Keyed = tuple[Any, UInt8[np.ndarray, 'h w 3']]


class Result(NamedTuple):
  """Images that a command has enlarged, those that exist already, and bad ones."""

  written: int
  existing: int
  bad: list[str]  # one line each


class Upscaler(abc.ABC):
  """Enlarges images.

  Attributes:
    scale: side of the output / side of the input.
    card: model and options, as JSON values.
    devices: number and kind of the devices, for messages; empty for the host.
  """

  scale: int
  card: Mapping[str, Any]
  devices: str = ''

  @abc.abstractmethod
  def __call__(self, images: Iterable[Keyed]) -> Iterator[Keyed]:
    """Yields (key, enlarged image) for every (key, image), in any order."""


@dataclasses.dataclass(frozen=True)
class Lanczos(Upscaler):
  """Lanczos interpolation of Pillow (three lobes)."""

  scale: int

  @property
  def card(self) -> dict[str, Any]:
    """See `Upscaler`."""
    return {'model': LANCZOS, 'scale': self.scale}

  def __call__(self, images: Iterable[Keyed]) -> Iterator[Keyed]:
    """See `Upscaler`."""
    for key, image in images:
      height, width, _ = image.shape
      size = (width * self.scale, height * self.scale)
      picture = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
      yield key, np.asarray(picture)


@dataclasses.dataclass(frozen=True, eq=False)
class Network(Upscaler):
  """A network with its weights, on all devices of one process.

  Attributes:
    generator: network of `super_resolution_zoo`.
    params: its weights, on every device.
    mesh: splits a batch.
    scale: of the output; at most that of the network.
    card: see `Upscaler`.
    tiles: options of `tiling.Tiler`.
  """

  generator: Any
  params: Any
  mesh: jax.sharding.Mesh
  scale: int
  card: Mapping[str, Any]
  tiles: Mapping[str, int]

  @property
  def devices(self) -> str:
    """See `Upscaler`."""
    return f'{self.mesh.size} x {jax.local_devices()[0].device_kind}'

  def __call__(self, images: Iterable[Keyed]) -> Iterator[Keyed]:
    """See `Upscaler`."""
    return tiling.Tiler(
        self._step, scale=self.scale, multiple=self.mesh.size, **self.tiles
    )(images)

  def _step(self, batch: UInt8[np.ndarray, 'b h w 3']) -> Array:
    """Starts the enlargement of a batch."""
    batch = jax.device_put(batch, sharding.over_batch(self.mesh))
    with jax.set_mesh(self.mesh):
      return self._compiled(self.params, batch)

  @functools.cached_property
  def _compiled(self) -> Any:
    """The jitted `enlarge`; another one would be compiled again."""
    return jax.jit(self.enlarge, out_shardings=sharding.over_batch(self.mesh))

  def enlarge(
      self, params: Any, images: UInt8[Array, 'b h w 3']
  ) -> UInt8[Array, 'b h_ w_ 3']:
    """Returns enlarged images of whole grey levels."""
    pixels = self.pixels(params, images)
    return jnp.round(255.0 * pixels).astype(jnp.uint8)

  def pixels(
      self, params: Any, images: UInt8[Array, 'b h w 3']
  ) -> Float[Array, 'b h_ w_ 3']:
    """Returns enlarged images in [0, 1]."""
    pixels = images.astype(jnp.float32) / 255.0
    pixels = self.generator.apply({'params': params}, pixels)
    pixels = jnp.clip(pixels, 0.0, 1.0)
    return area(pixels, self.generator.scale, self.scale)


def area(
    images: Float[Array, 'b h w 3'], old: int, new: int
) -> Float[Array, 'b h_ w_ 3']:
  """Returns images that are `new / old` times as large, by area interpolation.

  Every pixel is the mean of the area that it covers. Squares of `old` x `old`
  pixels become squares of `new` x `new`, independent of all others.

  Args:
    images: their sides are multiples of `old`.
    old: side of a square of pixels.
    new: new side of the square, at most `old`.
  """
  if old == new:
    return images
  edges = np.arange(new + 1)[:, None] / new, np.arange(old + 1) / old
  ends = np.minimum(edges[0][1:], edges[1][1:])
  starts = np.maximum(edges[0][:-1], edges[1][:-1])
  weights_ = jnp.asarray(new * np.maximum(ends - starts, 0.0), jnp.float32)
  b, h, w, c = images.shape
  squares = images.reshape(b, h // old, old, w // old, old, c)
  squares = jnp.einsum(
      'ik,bhkwlc,jl->bhiwjc',
      weights_,
      squares,
      weights_,
      precision=jax.lax.Precision.HIGHEST,
  )
  return squares.reshape(b, h // old * new, w // old * new, c)


def load(
    model: str,
    *,
    scale: int | None = None,
    batch_size: int | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    dtype: str | None = None,
) -> Upscaler:
  """Returns what a user names.

  Args:
    model: LANCZOS, or the workdir of a run or a folder of weights.
    scale: of the output; None is that of the network.
    batch_size: images or tiles per step, over all devices; None is
      BATCH_PER_DEVICE for each.
    tile: largest side of an image that is enlarged at once; None is TILE.
    overlap: see `tiling`; None is the receptive field, at most MAX_OVERLAP.
    dtype: compute dtype; None is that of the config.

  Raises:
    InputError: there are no such weights, they do not enlarge images, or an
      option is wrong.
  """
  if model == LANCZOS:
    if scale is None:
      raise errors.InputError(
          '--model=lanczos: give --scale, such as --scale=2'
      )
    if batch_size or dtype or tile or overlap is not None:
      raise errors.InputError(
          '--model=lanczos: omit --batch_size, --dtype, --tile and --overlap, which are '
          'for networks'
      )
    return Lanczos(scale)
  if not files.path(model).is_dir():
    raise errors.InputError(
        f'--model={model}: no such folder; give a run of configs/sr.py, a folder '
        f'of converted weights, or {LANCZOS}'
    )
  mesh = sharding.make_mesh(fsdp=1, devices=jax.local_devices())
  batch_size = batch_size or BATCH_PER_DEVICE * mesh.size
  sharding.check_batch(batch_size, mesh, '--batch_size')
  network, params, section, source = generators.load(
      files.path(model), sharding.replicated(mesh), dtype=dtype
  )
  if 'run' in source:  # a run of this name may be trained again
    source['sha256'] = parameters.checksum(params)
  scale = scale or network.scale
  if scale > network.scale:
    raise errors.InputError(
        f'--scale={scale}: the network of {model} enlarges {network.scale} '
        'times; give a scale up to that'
    )
  tile = tile or TILE
  if overlap is None:
    overlap = min(network.receptive_field, MAX_OVERLAP)
  tiling.check(tile, overlap)
  tiles = {'tile': tile, 'overlap': overlap}
  return Network(
      generator=network,
      params=params,
      mesh=mesh,
      scale=scale,
      card={'model': source, 'scale': scale, 'network': section} | tiles,
      tiles=tiles | {'batch_size': batch_size},
  )
