"""Optimizers with warmup, cosine decay and layer-wise learning rates.

The optimizers are optax's. This file decides which parameters decay, which layer a
parameter belongs to, and how the learning rate changes. Parameters are plain
nested dicts, and their names decide.
"""

from collections.abc import Mapping
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import optax

from abaw_jax.core import errors
from abaw_jax.steps import freezing, update_rules
from abaw_jax.tasks import task

Params = dict[str, Any]

CLIPS = ('all', 'part')

# The tokens and tables that enter a ViT before its first block.
_INPUT_NAMES = (
    'patch_embed', 'cls_token', 'mask_token', 'pos_embed', 'reg_token', 'norm_pre'
)  # fmt: skip


def scaled_lr(base_lr: float, batch_size: int) -> float:
  """Returns base_lr * batch_size / 256, the rule of MAE (He et al., 2022)."""
  return base_lr * batch_size / 256


def make_schedule(
    *, lr: float, warmup_steps: int, total_steps: int, end_lr: float
) -> optax.Schedule:
  """Returns the learning rate as a function of the number of updates before.

  Linear from lr / warmup_steps at step 0 to lr at step warmup_steps - 1, so the
  first update has no rate of 0. Then half a cosine from lr at step warmup_steps
  to end_lr at step total_steps and later. Raises InputError if the warmup is
  longer than the training.
  """
  if warmup_steps > total_steps:
    raise errors.InputError(
        f'config.optim.warmup_epochs: its {warmup_steps} updates are more '
        f'than the {total_steps} of the training; lower it or raise config.epochs'
    )

  def schedule(step):
    warmup = lr * (step + 1) / max(warmup_steps, 1)
    done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
    cosine = (1 + jnp.cos(math.pi * jnp.clip(done, 0.0, 1.0))) / 2
    return jnp.where(
        step < warmup_steps, warmup, end_lr + (lr - end_lr) * cosine
    )

  return schedule


def decay_mask(params: Params) -> Params:
  """Returns True for the parameters with weight decay.

  These are the kernels, not biases, norm scales, tokens, position tables and
  factors of LoRA. The
  name decides, because a bias has two axes under a scan over layers.
  """
  return jax.tree_util.tree_map_with_path(
      lambda path, _: path[-1].key == 'kernel', params
  )


def layer_scales(
    params: Params, *, decay: float, num_layers: int, prefix: str
) -> Params:
  """Returns decay^(num_layers + 1 - layer) for each parameter, as a tree.

  Below the top-level name `prefix`, tokens, position table and patch embedding
  are layer 0, `blocks_<i>` is layer i + 1, and the rest (the last norm) is layer
  num_layers + 1. Parameters outside the prefix are layer num_layers + 1 too, and
  keep their rate. Layer-wise decay as in BEiT (Bao et al., 2022) and MAE's
  fine-tuning. Raises InputError if a block is outside num_layers or no parameter
  has the prefix.
  """
  if prefix not in params:
    raise errors.InputError(
        f'layer_decay: no parameters named {prefix!r}; there are'
        f' {sorted(params)}'
    )

  def scale(path, _) -> float:
    layer = _layer([key.key for key in path], num_layers, prefix)
    return decay ** (num_layers + 1 - layer)

  return jax.tree_util.tree_map_with_path(scale, params)


def clip_by_part(max_norm: float) -> optax.GradientTransformation:
  """Returns a transformation that clips each top-level part by its L2 norm.

  Reference: AIM3-RUC, which clips each network on its own and does not clip
  learned loss weights.
  """

  def clip(name, part):
    if name == task.LOSS_WEIGHTS:
      return part
    factor = jnp.minimum(1.0, max_norm / (optax.tree.norm(part) + 1e-6))
    return jax.tree.map(lambda g: g * factor, part)

  def update(updates, params=None):
    del params
    return {name: clip(name, part) for name, part in updates.items()}

  return optax.stateless(update)


def make_optimizer(
    *,
    name: str = 'adamw',
    schedule: optax.Schedule,
    b1: float,
    b2: float,
    eps: float = 1e-8,
    weight_decay: float,
    clip_norm: float,
    clip_by: str = 'all',
    layer_decay: float,
    num_layers: int,
    prefix: str,
    freeze: str = '',
    lora: bool = False,
    rates: Mapping[str, float] | None = None,
) -> optax.GradientTransformation:
  """Returns an optimizer over plain nested dicts.

  Args:
    name: a key of `update_rules.RULES`.
    schedule: the learning rate by number of updates before.
    b1: decay of the first moment.
    b2: decay of the second moment.
    eps: added to the square root of the second moment.
    weight_decay: decoupled, multiplied by the learning rate, kernels only.
    clip_norm: largest L2 norm of the gradients; 0 does not clip.
    clip_by: 'all' clips the norm of all gradients, 'part' that of each top-level
      part.
    layer_decay: rate of a layer divided by that of the next, see `layer_scales`;
      1 gives all layers the same rate.
    num_layers: number of blocks below `prefix`; unused if layer_decay is 1.
    prefix: top-level name of the backbone; unused if layer_decay is 1.
    freeze: top-level name of parameters without updates, decay and moments;
      '' = none.
    lora: whether parts of the model have LoRA: then only its factors have them.
    rates: factors of the learning rate by top-level name; None = all 1.
  """
  if clip_by not in CLIPS:
    raise errors.InputError(
        f'config.optim.clip_by={clip_by}: choose one of {", ".join(CLIPS)}'
    )
  steps = []
  if clip_norm and clip_by == 'part':
    steps.append(clip_by_part(clip_norm))
  elif clip_norm:
    steps.append(optax.clip_by_global_norm(clip_norm))
  settings = update_rules.Settings(b1, b2, eps, weight_decay, decay_mask)
  steps.append(update_rules.choose(name)(schedule, settings))
  if layer_decay != 1.0:

    def scale_layers(updates, params=None):
      del params
      scales = layer_scales(
          updates, decay=layer_decay, num_layers=num_layers, prefix=prefix
      )
      return jax.tree.map(lambda update, s: update * s, updates, scales)

    # After the optimizer, so that the weight decay of a layer scales with its rate.
    steps.append(optax.stateless(scale_layers))
  if rates and set(rates.values()) != {1.0}:

    def scale_parts(updates, params=None):
      del params
      return {
          name: optax.tree.scale(rates.get(name, 1.0), part)
          for name, part in updates.items()
      }

    steps.append(optax.stateless(scale_parts))
  if not freeze and not lora:
    return optax.chain(*steps)

  def kinds(params):
    if freeze and freeze not in params:
      raise errors.InputError(
          f'config.optim.freeze={freeze}: the model has no such part; it has '
          f'{", ".join(sorted(params))}'
      )
    if lora:
      kind = {True: 'trained', False: 'frozen'}
      return jax.tree.map(kind.get, freezing.trained(params, freeze))
    return {name: 'frozen' if name == freeze else 'trained' for name in params}

  return optax.partition(
      {'trained': optax.chain(*steps), 'frozen': optax.set_to_zero()}, kinds
  )


def _layer(names: list[str], num_layers: int, prefix: str) -> int:
  """Returns the layer, 0 to num_layers + 1, of the parameter at this path."""
  if names[0] != prefix:
    return num_layers + 1
  for name in names[1:]:
    if name in _INPUT_NAMES:
      return 0
    block = re.fullmatch(r'blocks_(\d+)', name)
    if block:
      layer = int(block[1]) + 1
      if layer > num_layers:
        raise errors.InputError(
            f'num_layers={num_layers}: too few for {"/".join(names)}'
        )
      return layer
  return num_layers + 1
