"""Optimizer, learning rate and step options of a config."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Array
import optax

from abaw_jax.core import choices, errors
from abaw_jax.steps import optimizers, schedules
from abaw_jax.tasks import task as task_lib

SCHEDULES = ('cosine', *schedules.FACTORS)


def make_schedule(
    config: Mapping[str, Any],
    *,
    total_steps: int,
    warmup_steps: int,
    epoch_ends: Sequence[int] | None = None,
) -> optax.Schedule:
  """Returns the learning rate by update, scaled by batch size on request.

  Args:
    config: of the run.
    total_steps: number of updates of the run.
    warmup_steps: updates of the warmup, for the schedule `cosine`.
    epoch_ends: number of updates at the end of each epoch, for the schedules that
      are constant within an epoch; None means epochs of equal length.

  Raises:
    InputError: a value of `config.optim` is wrong.
  """
  section = config['optim']
  lr = section['lr']
  if section['scale_lr']:
    lr = optimizers.scaled_lr(lr, config['data']['batch_size'])
  name = section['schedule']
  choices.choose(dict.fromkeys(SCHEDULES), name, 'optim.schedule')
  if name != 'cosine':
    if epoch_ends is None:
      epoch_ends = schedules.even_ends(config['epochs'], total_steps)
    return schedules.by_epoch(
        name,
        lr=lr,
        epoch_ends=epoch_ends,
        warmup=section['warmup_epochs'],
        hold=section['hold_epochs'],
        from_zero=section['warmup_from_zero'],
    )
  return optimizers.make_schedule(
      lr=lr,
      warmup_steps=warmup_steps,
      total_steps=total_steps,
      end_lr=section['end_lr'],
  )


def make_optimizer(
    task: task_lib.Task, schedule: optax.Schedule
) -> optax.GradientTransformation:
  """Returns the optimizer of a task's config."""
  section = task.config['optim']
  if section['layer_decay'] != 1.0 and not task.num_blocks:
    raise errors.InputError(
        f'config.optim.layer_decay={section["layer_decay"]}: the model has no '
        'transformer blocks, so its layers share one rate; set it to 1'
    )
  lora = bool(task.config['model'].get('lora_rank'))
  if lora and section['freeze'] == task.backbone:
    raise errors.InputError(
        f'config.optim.freeze={task.backbone}: LoRA trains factors in this part, '
        "and freezes the rest of it; leave freeze='', or set config.model.lora_rank=0"
    )
  keys = (
      'name', 'b1', 'b2', 'eps', 'weight_decay', 'clip_norm', 'clip_by', 'layer_decay',
      'freeze',
  )  # fmt: skip
  return optimizers.make_optimizer(
      schedule=schedule,
      num_layers=task.num_blocks,
      prefix=task.backbone,
      lora=lora,
      rates=task.rates,
      **{key: section[key] for key in keys},
  )


def update_flops(task: task_lib.Task, example: Mapping[str, Array]) -> int:
  """Returns the model FLOPs of an update.

  Args:
    task: of the update.
    example: a batch of any size.
  """
  passes = 2 if task.config['optim']['sam_rho'] else 1
  return passes * task.flops(example) * task.config['data']['batch_size']


def step_options(config: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the options of `steps.train_step` in a config."""
  keys = (
      'ema', 'microbatches', 'freeze', 'sam_rho', 'sam_faithful',
      'float32_gradients',
  )  # fmt: skip
  return {'seed': config['seed']} | {key: config['optim'][key] for key in keys}
