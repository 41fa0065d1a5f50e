"""Builds networks that enlarge images from the `model` section of a config."""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from abaw_jax.core import choices, errors
from abaw_jax.models.layers import dtypes, rematerialization
from abaw_jax.models.super_resolution import compact, discriminator, rrdb

# Top-level name of the weights of the network that enlarges.
GENERATOR = 'generator'
_SIDE = 4  # pixels; every network reads images of this size
# Networks by name, with their sizes.
NETWORKS = {
    'rrdb': (rrdb.RRDBNet, ('width', 'growth', 'blocks')),
    'compact': (compact.SRVGGNetCompact, ('width', 'convs')),
}


class SuperResolution(nn.Module):
  """A network that enlarges and, in adversarial training, a discriminator.

  Attributes:
    generator: maps images [b h w 3] in [0, 1] to larger ones.
    discriminator: maps such images to logits of being real; None = none.
  """

  generator: nn.Module
  discriminator: nn.Module | None = None

  def __call__(
      self, images: Float[Array, 'b h w 3'], *, train: bool
  ) -> Float[Array, 'b h_ w_ 3']:
    """Returns enlarged images, not clipped."""
    enlarged = self.generator(images)
    if self.is_initializing() and self.discriminator:
      self.discriminator(enlarged, train=train)
    return enlarged


def make_super_resolution(
    *,
    network: str,
    scale: int,
    width: int,
    growth: int = 0,
    blocks: int = 0,
    convs: int = 0,
    discriminator_width: int = 0,
    remat: str = 'none',
    dtype: str,
) -> SuperResolution:
  """Returns the model whose network has the name `network`.

  Sizes of the other network have no effect. A `discriminator_width` of 0 means no
  discriminator.

  Raises:
    InputError: a name is unknown, a size is missing, or the network has no `remat`.
  """
  sizes = {'width': width, 'growth': growth, 'blocks': blocks, 'convs': convs}
  module, wanted = choices.choose(NETWORKS, network, 'model.network')
  options = {'dtype': choices.choose(dtypes.DTYPES, dtype, 'model.dtype')}
  choices.choose(rematerialization.POLICIES, remat, 'model.remat')
  if network == 'rrdb':
    scales = dict.fromkeys(map(str, sorted(rrdb.UNSHUFFLE)))
    choices.choose(scales, str(scale), 'model.scale')
    options['remat'] = remat
  elif remat != 'none':
    raise errors.InputError(
        f'config.model.remat={remat}: is for the network rrdb; set it to none'
    )
  missing = [name for name in wanted if not sizes[name]]
  if missing:
    raise errors.InputError(
        f'config.model.network={network}: {" and ".join(missing)} must be at '
        'least 1; set them in config.model'
    )
  return SuperResolution(
      module(scale, **{name: sizes[name] for name in wanted}, **options),
      discriminator.UNetDiscriminator(discriminator_width, options['dtype'])
      if discriminator_width
      else None,
  )


def section(model: Mapping[str, Any]) -> dict[str, Any] | None:
  """Returns the keys of the network that enlarges in a `model` section.

  They are arguments of `make_super_resolution`. None if there is no such network.
  """
  if 'network' not in model:
    return None
  _, sizes = choices.choose(NETWORKS, model['network'], 'model.network')
  keys = ('network', 'scale', *sizes, 'remat', 'dtype')
  return {key: model[key] for key in keys if key in model}


def param_shapes(model: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the shapes of the weights of the network of a `model` section."""
  generator = make_super_resolution(**section(model)).generator
  images = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)
  variables = jax.eval_shape(generator.init, jax.random.key(0), images)
  return {GENERATOR: variables['params']}
