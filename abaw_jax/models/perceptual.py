"""A perceptual loss: differences between the feature maps of a frozen backbone."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
from typing import Any

from flax import linen as nn
from flax import traverse_util
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
import safetensors
import safetensors.numpy

from abaw_jax.core import errors, files
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables


@dataclasses.dataclass(frozen=True)
class PerceptualLoss:
  """Compares images by the maps of all stages of a convolutional network.

  Attributes:
    backbone: the network.
    mean: RGB mean that it expects, on the scale [0, 1].
    std: RGB standard deviation.
  """

  backbone: nn.Module
  mean: Sequence[float]
  std: Sequence[float]

  @classmethod
  def from_section(cls, section: Mapping[str, Any]) -> 'PerceptualLoss':
    """Returns the loss of a result of `read_section`."""
    backbone = zoo.make_backbone(section['model'])
    return cls(backbone, section['mean'], section['std'])

  def empty_weights(self) -> variables.Weights:
    """Returns weights of 0, in the place of those of `read_weights`."""
    side = self.backbone.image_size
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    shapes = jax.eval_shape(
        lambda images: variables.init(self.backbone, jax.random.key(0), images),
        images,
    )
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

  def distance(
      self,
      weights: variables.Weights,
      images: Float[Array, 'b h w 3'],
      targets: Float[Array, 'b h w 3'],
  ) -> Float[Array, '']:
    """Returns the mean L1 distance of the maps, as in ESRGAN.

    The distance of a stage is divided by the mean magnitude of its map, so a
    backbone needs no weights of its own for its stages. There is no gradient to
    `weights` and `targets`.

    Args:
      weights: of the backbone.
      images: in [0, 1]; resized to the input of the backbone.
      targets: in [0, 1].
    """
    weights = jax.lax.stop_gradient(weights)
    wanted = jax.lax.stop_gradient(self._maps(weights, targets))
    distances = [
        jnp.mean(jnp.abs(x - wanted[name]))
        / jnp.maximum(jnp.mean(jnp.abs(wanted[name])), 1e-6)
        for name, x in self._maps(weights, images).items()
    ]
    return sum(distances) / len(distances)

  def _maps(self, weights, images) -> dict[str, Array]:
    mean, std = (
        jnp.reshape(jnp.float32(x), (1, 1, 1, 3)) for x in (self.mean, self.std)
    )
    side = self.backbone.image_size
    images = jax.image.resize(images, (len(images), side, side, 3), 'linear')
    found, _ = variables.apply(
        self.backbone,
        weights,
        (images - mean) / std,
        train=False,
        method='features',
    )
    return {k: x.astype(jnp.float32) for k, x in found.items() if x.ndim == 4}


def read_section(folder: files.Path) -> dict[str, Any]:
  """Returns the `model` section, `mean` and `std` of a folder of weights.

  Raises:
    InputError: it is no folder of a convolutional network.
  """
  config = _read(folder / 'config.json', json.loads)
  if not zoo.is_convnet(config['model']):
    raise errors.InputError(
        f'config.loss.perceptual={folder}: give the weights of a convolutional '
        'network, converted by `abaw-jax convert`'
    )
  pixels = {key: config['augment'][key] for key in ('mean', 'std')}
  return {'model': zoo.backbone_section(config['model'])} | pixels


def read_weights(folder: files.Path) -> variables.Weights:
  """Returns the weights of the backbone in a folder of weights.

  Raises:
    InputError: they cannot be read.
  """
  flat = _read(folder / 'weights.safetensors', safetensors.numpy.load)
  tree = traverse_util.unflatten_dict(flat, sep='/')
  statistics = tree.get(variables.STATISTICS, {}).get('backbone')
  return tree['backbone'] | (
      {variables.STATISTICS: statistics} if statistics else {}
  )


def _read(path: files.Path, parse: Callable[[bytes], Any]) -> Any:
  try:
    return parse(path.read_bytes())
  except (OSError, ValueError, safetensors.SafetensorError) as e:
    raise errors.InputError(
        f'config.loss.perceptual: {path} cannot be read ({e}); give a folder of '
        'weights that `abaw-jax convert` wrote'
    ) from e
