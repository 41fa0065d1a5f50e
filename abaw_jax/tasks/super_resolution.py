"""The task of enlarging images: Real-ESRGAN's two stages of training.

The first stage minimises the L1 error. The second one adds a discriminator, and the
published code alternates: the generator moves against the old discriminator, then
the discriminator moves on images that the generator made before it moved. Here, one
loss holds both. The discriminator is constant in the generator's part, and the
images are constant in the discriminator's part. So one gradient holds the gradients
of both, and one Adam, which treats each number on its own, is two.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any, ClassVar

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8
import numpy as np

from abaw_jax.augmentation import augment, canvas, degradation
from abaw_jax.core import errors, files
from abaw_jax.data import image_sources, protocol
from abaw_jax.models import perceptual, super_resolution_zoo, zoo
from abaw_jax.models.layers import batch_sharding, variables
from abaw_jax.models.super_resolution import adversarial
from abaw_jax.scoring import image_quality
from abaw_jax.tasks import images as image_tasks
from abaw_jax.tasks import task

Batch, Params = task.Batch, task.Params
Images = Float[Array, 'b h w 3']
Resized = Float[Array, 'b h_ w_ 3']

_DISCRIMINATOR, _PERCEPTUAL = 'discriminator', 'perceptual'


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuperResolutionTask(image_tasks.ImageTask):
  """Enlarges images that the device makes small; reads no label.

  Attributes:
    degradation: makes small images from good ones.
    l1: weight of the L1 error.
    adversarial: weight of the generator's adversarial loss.
    perceptual_weight: weight of the perceptual loss.
    sharpen: whether the targets of the generator are sharpened, as published.
    judge: the perceptual loss; None = no such loss.
  """

  name: ClassVar[str] = 'sr'
  score: ClassVar[str] = 'PSNR'
  backbone: ClassVar[str] = super_resolution_zoo.GENERATOR
  default_data: ClassVar[str] = 'people'
  picture: ClassVar[str] = 'enlarged'
  columns: ClassVar[tuple[str, ...]] = (
      'small', 'lanczos', 'enlarged', 'original',
  )  # fmt: skip

  model: super_resolution_zoo.SuperResolution
  degradation: degradation.Degradation
  l1: float
  adversarial: float
  perceptual_weight: float
  sharpen: bool
  judge: perceptual.PerceptualLoss | None

  def __post_init__(self):
    # The discriminator halves maps three times, and SSIM has windows of 11 pixels.
    multiple = math.lcm(8, self.degradation.scale)
    side, full = self.augmentation.size, image_tasks.face_size(self.config)
    for name, value, least in (
        ('model.image_size', side, multiple),
        ('data.face_size', full, max(side, 16)),
    ):
      if value % multiple or value < least:
        raise errors.InputError(
            f'config.{name}={value}: give a multiple of {multiple} that is at '
            f'least {least}'
        )
    if {*self.augmentation.mean} != {0} or {*self.augmentation.std} != {1}:
      raise errors.InputError(
          'config.augment.mean and config.augment.std: set them to 0 and 1; these '
          'networks read pixels from 0 to 1'
      )

  @classmethod
  def make_model(cls, section: Mapping[str, Any]) -> nn.Module:
    if 'image_size' not in section:
      raise errors.InputError(
          'converted weights of a super-resolution network only enlarge images; '
          'use `abaw-jax upscale`, or start a run of configs/sr.py from them'
      )
    return zoo.make_model(
        **{k: section[k] for k in section.keys() - {'image_size'}}
    )

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    scale, section = config['model']['scale'], config['degradation']
    keys = ('l1', 'adversarial', 'perceptual_weight', 'sharpen')
    judge = None
    if _PERCEPTUAL in config:
      judge = perceptual.PerceptualLoss.from_section(config[_PERCEPTUAL])
    return {
        'degradation': degradation.Degradation.from_config(section, scale),
        'judge': judge,
    } | {key: config['loss'][key] for key in keys}

  @classmethod
  def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
    """Returns the config with the sections of the perceptual loss's backbone.

    So a trained run does not need the folder of its weights.

    Raises:
      InputError: `loss.perceptual` is no folder of a convolutional network.
    """
    if not config['loss']['perceptual']:
      return config
    folder = files.absolute(files.path(config['loss']['perceptual']))
    return config | {
        'loss': config['loss'] | {'perceptual': str(folder)},
        _PERCEPTUAL: perceptual.read_section(folder),
    }

  @classmethod
  def stored(
      cls, model: Mapping[str, Any], shapes: Mapping[str, Any]
  ) -> Mapping[str, Any]:
    """Returns the generator, and the discriminator if the weights have one."""
    names = [cls.backbone]
    if model.get('discriminator_width'):
      names.append(_DISCRIMINATOR)
      # Otherwise, the statistics hold weights that `statistics` reads.
      if _PERCEPTUAL not in shapes.get(variables.STATISTICS, {}):
        names.append(variables.STATISTICS)
    return {name: shapes[name] for name in names if name in shapes}

  def source(self, split: str) -> protocol.Source:
    return image_sources.image_source(self.config['data'], split)

  @property
  def rates(self) -> Mapping[str, float]:
    return {_DISCRIMINATOR: self.config['optim']['discriminator_rate']}

  def flops(self, batch: Batch) -> int:
    side = self.augmentation.size
    total = 3 * self.model.generator.flops(
        *[side // self.degradation.scale] * 2
    )
    if self.model.discriminator:
      # Forward and backward to an image, and to the weights for two images.
      total += (2 + 3 + 3) * self.model.discriminator.flops(side, side)
    if self.judge is not None:
      # Forward and backward to an image; forward for the target.
      total += (2 + 1) * self.judge.backbone.flops
    return total

  def init(self, key: Key[Array, ''], batch: Batch) -> Params:
    small = self.augmentation.size // self.degradation.scale
    weights = variables.init(self.model, key, jnp.zeros((1, small, small, 3)))
    if self.judge is not None:
      found = weights.setdefault(variables.STATISTICS, {})
      # `statistics` has the values.
      weights[variables.STATISTICS] = found | {
          _PERCEPTUAL: self.judge.empty_weights()
      }
    return weights

  def statistics(self, source: Any) -> dict[str, Any]:
    """Returns the weights of the perceptual loss, which no update changes."""
    del source
    if self.judge is None:
      return {}
    folder = files.path(self.config['loss'][_PERCEPTUAL])
    return {_PERCEPTUAL: perceptual.read_weights(folder)}

  def loss(
      self, params: Params, batch: Batch, key: Key[Array, '']
  ) -> tuple[Float[Array, ''], dict[str, Any]]:
    """Returns (the sum of all losses, scalars to log)."""
    crop_key, image_key, small_key = jax.random.split(key, 3)
    crops = augment.random_crop(
        crop_key, batch['image'], size=self.augmentation.size
    )
    originals = self.augmentation.train(image_key, crops)
    targets = originals
    if self.sharpen:
      targets = batch_sharding.map_rows(degradation.sharpen)(originals)
    small = self._small(jax.random.split(small_key, len(targets)), targets)
    enlarged, _ = variables.apply(self.model, params, small, train=True)
    l1 = jnp.mean(jnp.abs(enlarged - targets))
    loss, scalars = self.l1 * l1, {'l1': l1}
    if self.judge is not None:
      weights = params[variables.STATISTICS][_PERCEPTUAL]
      distance = self.judge.distance(weights, enlarged, targets)
      loss += self.perceptual_weight * distance
      scalars |= {'perceptual': distance}
    if self.model.discriminator:
      statistics = params[variables.STATISTICS]
      generator, discriminator, moved = adversarial.losses(
          self.model.discriminator,
          params[_DISCRIMINATOR]
          | {variables.STATISTICS: statistics[_DISCRIMINATOR]},
          enlarged,
          originals,
      )
      loss += self.adversarial * generator + discriminator
      scalars |= {'generator': generator, 'discriminator': discriminator}
      scalars[variables.STATISTICS] = statistics | {_DISCRIMINATOR: moved}
    return loss, {'loss': loss} | scalars

  def predict(self, params: Params, batch: Batch) -> dict[str, Array]:
    """Returns PSNR and SSIM [b] of each image, and those of Lanczos.

    `clean_` is for images that are only made smaller, by the mean over pixels.
    """
    originals = batch['image'].astype(jnp.float32) / 255
    pairs = {
        '': self._small(_fixed_keys(batch['image']), originals),
        'clean_': self._reduced(originals),
    }
    output = {}
    for condition, small in pairs.items():
      results = {
          '': self._enlarge(params, small),
          'lanczos_': _lanczos(small, originals.shape),
      }
      for name, result in results.items():
        result = jnp.round(jnp.clip(result, 0.0, 1.0) * 255) / 255
        for measure, function in image_quality.MEASURES.items():
          output[f'{condition}{name}{measure}'] = function(result, originals)
    return output

  def scores(self, rows: task.Rows) -> dict[str, float]:
    """Returns means over images by the names of `predict`."""
    return {
        key.removeprefix('pred_'): float(np.mean(values, dtype=np.float64))
        for key, values in rows.items()
        if key.startswith('pred_')
    }

  def summary(self, scores: Mapping[str, float]) -> str:
    return ', '.join(
        f'{name.replace("_", " ")}PSNR {scores[f"{name}PSNR"]:.2f} '
        f'SSIM {scores[f"{name}SSIM"]:.4f}'
        for name in ('', 'lanczos_', 'clean_', 'clean_lanczos_')
    )

  def draw(
      self, params: Params, images: UInt8[Array, 'b h w 3'], key: Key[Array, '']
  ) -> dict[str, Array]:
    """Returns images, uint8 [b, h, w, 3] by column, and the L1 `loss` [b].

    `small` is the input of the network with repeated pixels.
    """
    del key
    originals = images.astype(jnp.float32) / 255
    small = self._small(_fixed_keys(images), originals)
    enlarged = self._enlarge(params, small)
    shown = {
        'small': jax.image.resize(small, originals.shape, 'nearest'),
        'lanczos': _lanczos(small, originals.shape),
        'enlarged': enlarged,
        'original': originals,
    }
    loss = jnp.mean(jnp.abs(enlarged - originals), axis=(1, 2, 3))
    return jax.tree.map(self.augmentation.pixels, shown) | {'loss': loss}

  def _small(self, keys: Key[Array, 'b'], images: Images) -> Resized:
    """Returns degraded images, without gradient."""
    # Each device transforms its own rows: XLA would gather them first.
    return batch_sharding.map_rows(self.degradation)(keys, images)

  def _reduced(self, images: Images) -> Resized:
    side = images.shape[1]
    small = side // self.degradation.scale
    method = canvas.FILTERS.index('area')
    reduced = jax.vmap(
        lambda image: canvas.resize(image, side, small, method, side=small)
    )(images)
    return jnp.round(reduced * 255) / 255

  def _enlarge(self, params: Params, images: Images) -> Resized:
    return variables.apply(self.model, params, images, train=False)[0]


def _lanczos(images: Images, shape: tuple[int, ...]) -> Resized:
  return jax.image.resize(images, shape, 'lanczos3')


def _fixed_keys(images: UInt8[Array, 'b h w 3']) -> Key[Array, 'b']:
  """Returns a key for each image that depends on its pixels alone.

  So its degradation is the same in every evaluation.
  """
  sums = jnp.sum(images.astype(jnp.uint32), axis=(1, 2, 3))
  return jax.vmap(lambda x: jax.random.fold_in(jax.random.key(0), x))(sums)
