"""The optimizers that `optim.name` chooses from, all of optax.

Each one gets kernels to decay, and multiplies decay and update by the learning rate.
"""

from collections.abc import Callable
import dataclasses
import re
from typing import Any

import jax
import optax

from abaw_jax.core import choices, errors

# Kernels of transformer blocks, without patch embedding, heads and LoRA factors.
_HIDDEN = re.compile(r'(^|/)(\w+_)?(blocks|layers)_\d+/.*kernel$')


@dataclasses.dataclass(frozen=True)
class Settings:
  """Values of `config.optim` for all optimizers; each one reads some of them.

  Attributes:
    b1: decay of the first moment.
    b2: decay of the second moment.
    eps: added to the square root of the second moment.
    weight_decay: decoupled, multiplied by the learning rate.
    mask: function of the parameters to the tree of those that decay.
  """

  b1: float
  b2: float
  eps: float
  weight_decay: float
  mask: Callable[[Any], Any]


def adamw(
    schedule: optax.Schedule, settings: Settings
) -> optax.GradientTransformation:
  """Returns AdamW (Loshchilov and Hutter, arXiv 1711.05101)."""
  return optax.adamw(schedule, **vars(settings))


def lion(
    schedule: optax.Schedule, settings: Settings
) -> optax.GradientTransformation:
  """Returns Lion (Chen et al., arXiv 2302.06675), which has no `eps`."""
  return optax.lion(
      schedule,
      b1=settings.b1,
      b2=settings.b2,
      weight_decay=settings.weight_decay,
      mask=settings.mask,
  )


def adafactor(
    schedule: optax.Schedule, settings: Settings
) -> optax.GradientTransformation:
  """Returns Adafactor (Shazeer and Stern, arXiv 1804.04235), without `b1` to `eps`.

  As for ViTs by Zhai et al. (arXiv 2106.04560), the learning rate does not scale
  with the parameters, so that rates of AdamW fit. There is no first moment. The
  second moment of a matrix is one number per row and per column, if both sides are
  128 or more.
  """
  return optax.chain(
      optax.scale_by_factored_rms(),
      optax.clip_by_block_rms(1.0),
      optax.add_decayed_weights(settings.weight_decay, settings.mask),
      optax.scale_by_learning_rate(schedule),
  )


def muon(
    schedule: optax.Schedule, settings: Settings
) -> optax.GradientTransformation:
  """Returns Muon (Jordan et al., 2024) for hidden kernels, AdamW for the rest.

  Hidden kernels are the matrices of transformer blocks. Their momentum is 0.95, and
  the size of their updates is that of AdamW (Liu et al., arXiv 2502.16982), so that
  both share rate and decay. The other keys are those of AdamW.
  """
  hidden = optax.contrib.muon(
      schedule, weight_decay=settings.weight_decay, consistent_rms=0.2
  )
  return optax.partition(
      {'muon': hidden, 'adamw': adamw(schedule, settings)}, _muon_or_adamw
  )


RULES = {'adamw': adamw, 'lion': lion, 'adafactor': adafactor, 'muon': muon}


def choose(name: str) -> Callable[..., optax.GradientTransformation]:
  """Returns an entry of RULES; raises an InputError that lists them."""
  return choices.choose(RULES, name, 'optim.name')


def _muon_or_adamw(params: Any) -> Any:
  """Returns the optimizer of each parameter, as a tree."""

  def kind(path, x):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    return 'muon' if x.ndim == 2 and _HIDDEN.search(name) else 'adamw'

  kinds = jax.tree_util.tree_map_with_path(kind, params)
  if 'muon' not in jax.tree.leaves(kinds):
    raise errors.InputError(
        'config.optim.name=muon: no trained part of the model has kernels of '
        'transformer blocks, which Muon is for; choose another optimizer'
    )
  return kinds
