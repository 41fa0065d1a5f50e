"""Loads a network that enlarges images from a run or from a folder of weights."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from abaw_jax.checkpoints import runs, weights
from abaw_jax.core import errors, files
from abaw_jax.models import super_resolution_zoo
from abaw_jax.tasks import registry


class Generator(NamedTuple):
  """A network with its weights.

  Attributes:
    network: maps images [b h w 3] in [0, 1] to larger ones.
    params: its weights.
    section: its keys in the `model` section of a config.
    source: origin of the weights, see `weights.load`.
  """

  network: Any
  params: Any
  section: Mapping[str, Any]
  source: Mapping[str, Any]


def load(
    origin: files.Path,
    place: jax.sharding.Sharding,
    *,
    dtype: str | None = None,
) -> Generator:
  """Returns the network of a super-resolution run or of converted weights.

  Args:
    origin: as in `weights.load`.
    place: sharding of all weights.
    dtype: compute dtype; None is that of the config.

  Raises:
    InputError: there are no such weights, or they do not enlarge images.
  """
  config = runs.read_config(origin)
  section = super_resolution_zoo.section(config['model'])
  if section is None:
    kind = registry.task_class(config)
    raise errors.InputError(
        f'{origin}: is a {kind.name} model, which does not enlarge images; '
        'give a run of configs/sr.py or converted weights of Real-ESRGAN'
    )
  section |= {'dtype': dtype} if dtype else {}
  shapes = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
      super_resolution_zoo.param_shapes(section),
  )
  params, source = weights.load_parts(origin, shapes)
  return Generator(
      super_resolution_zoo.make_super_resolution(**section).generator,
      params[super_resolution_zoo.GENERATOR],
      section,
      source,
  )
