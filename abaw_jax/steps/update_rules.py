"""The optimizers that `optim.name` chooses from, all of optax.

Each one gets kernels to decay, and multiplies decay and update by the learning rate.
"""

from collections.abc import Callable
import re
from typing import Any

import jax
import optax

from abaw_jax.core import choices, errors

# Kernels of transformer blocks, without patch embedding, heads and LoRA factors.
_HIDDEN = re.compile(r'(^|/)(\w+_)?(blocks|layers)_\d+/.*kernel$')


def adamw(
    schedule: optax.Schedule,
    *,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    mask: Callable[[Any], Any],
) -> optax.GradientTransformation:
  """Returns AdamW (Loshchilov and Hutter, arXiv 1711.05101)."""
  return optax.adamw(
      schedule, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask
  )


def lion(
    schedule: optax.Schedule,
    *,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    mask: Callable[[Any], Any],
) -> optax.GradientTransformation:
  """Returns Lion (Chen et al., arXiv 2302.06675), which has no `eps`."""
  del eps
  return optax.lion(
      schedule, b1=b1, b2=b2, weight_decay=weight_decay, mask=mask
  )


def adafactor(
    schedule: optax.Schedule,
    *,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    mask: Callable[[Any], Any],
) -> optax.GradientTransformation:
  """Returns Adafactor (Shazeer and Stern, arXiv 1804.04235), without `b1` to `eps`.

  As for ViTs by Zhai et al. (arXiv 2106.04560), the learning rate does not scale
  with the parameters, so that rates of AdamW fit. There is no first moment. The
  second moment of a matrix is one number per row and per column, if both sides are
  128 or more.
  """
  del b1, b2, eps
  return optax.chain(
      optax.scale_by_factored_rms(),
      optax.clip_by_block_rms(1.0),
      optax.add_decayed_weights(weight_decay, mask),
      optax.scale_by_learning_rate(schedule),
  )


def muon(
    schedule: optax.Schedule,
    *,
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
    mask: Callable[[Any], Any],
) -> optax.GradientTransformation:
  """Returns Muon (Jordan et al., 2024) for hidden kernels, AdamW for the rest.

  Hidden kernels are the matrices of transformer blocks. Their momentum is 0.95, and
  the size of their updates is that of AdamW (Liu et al., arXiv 2502.16982), so that
  both share rate and decay. The other keys are those of AdamW.
  """
  return optax.partition(
      {
          'muon': optax.contrib.muon(
              schedule, weight_decay=weight_decay, consistent_rms=0.2
          ),
          'adamw': adamw(
              schedule,
              b1=b1,
              b2=b2,
              eps=eps,
              weight_decay=weight_decay,
              mask=mask,
          ),
      },
      _muon_or_adamw,
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
