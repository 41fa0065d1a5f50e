"""Every task by name."""

from collections.abc import Mapping
from typing import Any

from abaw_jax.core import choices, config_ranges
from abaw_jax.tasks import (
    classifier,
    frame,
    identity,
    mae,
    super_resolution,
    temporal,
)
from abaw_jax.tasks import task as task_lib

# A new task is a class in a file of its own and an entry here.
TASKS: dict[str, type[task_lib.Task]] = {
    'mae': mae.MAETask,
    'frame': frame.FrameTask,
    'identity': identity.IdentityTask,
    'temporal': temporal.TemporalTask,
    'sr': super_resolution.SuperResolutionTask,
    'vit': classifier.ViTClassifier,
    'convnet': classifier.ConvNetClassifier,
    'video': classifier.VideoNetwork,
    'zero_shot': classifier.ZeroShotTask,
    'lsd': classifier.LsdTask,
}


def task_class(config: Mapping[str, Any]) -> type[task_lib.Task]:
  """Returns the class of a config's task, after a check of all its numbers.

  Raises:
    InputError: there is no such task, or a number is out of its range.
  """
  config_ranges.check(config)
  return choices.choose(TASKS, config['model']['name'], 'model.name')


def make_task(config: Mapping[str, Any]) -> task_lib.Task:
  """Returns the task of a config.

  Args:
    config: plain nested dict; `model` and `augment` are enough for a task of
      images that only predicts.

  Raises:
    InputError: there is no such task, or a value is wrong.
  """
  return task_class(config).from_config(config)
