"""Joint training: groups of tasks alone, their hidden states, then all tasks.

The section `joint` of a config asks for it, see configs/joint.py. The groups of the run
in <workdir> lie in <workdir>/alone/<group>.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from abaw_jax.core import choices, errors, files, labels
from abaw_jax.workflow import stages as stage_lib

# Extracted hidden states, below the workdir of a run.
_DONE = 'features/{}_features/hidden/1.0.0/dataset_info.json'


def groups(config: Mapping[str, Any]) -> tuple[str, ...]:
  """Returns the groups that are trained alone; () if the config has none.

  Raises:
    InputError: a task is unknown, or the model trains no choice of tasks.
  """
  text = config.get('joint', {}).get('alone', '')
  found = tuple(part.strip() for part in text.split(',') if part.strip())
  choices.check_once(found, text, 'joint.alone')
  if found and 'tasks' not in config['model']:
    raise errors.InputError(
        f'config.joint.alone={text}: this model always trains all of its tasks; '
        'use a config of a temporal model, such as joint:small'
    )
  for group in found:
    choices.names(labels.MASKS, group.replace('+', ','), 'joint.alone')
  return found


def stages(
    config: Mapping[str, Any], workdir: files.Path, arguments: Sequence[str]
) -> list[stage_lib.Stage]:
  """Returns the stages that train the groups and extract their hidden states.

  Args:
    config: config of the joint run, its dataset resolved.
    workdir: of the joint run.
    arguments: arguments of `abaw_jax.train` that give this config.

  Raises:
    InputError: as `groups`, or the workdir is in a bucket.
  """
  data, found = config['data'], []
  for group in groups(config):
    run = files.local_path(workdir, '--workdir') / 'alone' / group
    own = {
        'data.name': data['name'],
        'data.dir': data['dir'],
        'model.tasks': group.replace('+', ','),
        # Feedback needs source tasks, which not every group trains.
        'model.feedback': 'none',
        # No selection on validation: the last weights are the result.
        'eval_epochs': 0,
        'keep_task_bests': False,
        'joint.alone': '',
    }
    found += [
        stage_lib.Stage(
            f'train {group} alone',
            (
                'abaw_jax.train',
                *arguments,
                *(f'--config.{key}={value}' for key, value in own.items()),
                f'--workdir={run}',
            ),
            run / 'DONE',
        ),
        stage_lib.Stage(
            f'extract the hidden states of {group}',
            ('abaw_jax.extract', f'--init_from={run}'),
            run / _DONE.format(data['name']),
        ),
    ]
  return found


def with_features(
    config: Mapping[str, Any], workdir: files.Path
) -> dict[str, Any]:
  """Returns the config of the joint run, with the hidden states as features."""
  if not (found := groups(config)):
    return dict(config)
  names = [str(workdir / 'alone' / group) for group in found]
  if config['joint']['keep_features']:
    names.insert(0, config['data']['features'])
  return {**config, 'data': config['data'] | {'features': ','.join(names)}}
