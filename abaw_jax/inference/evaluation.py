"""Evaluation of a split: predictions of every row, then its scores."""

from collections.abc import Mapping
import functools
from typing import Any

import jax

from abaw_jax.checkpoints import adapters, runs, weights
from abaw_jax.core import errors, files
from abaw_jax.distributed import sharding
from abaw_jax.inference import prediction
from abaw_jax.steps import steps
from abaw_jax.tasks import classifier, inputs, registry
from abaw_jax.tasks import task as task_lib


def evaluate(
    workdir: files.Path,
    split: str,
    *,
    data: files.Path | None = None,
    data_dir: files.Path | None = None,
    weights_of: str = 'score',
    contempt: str = 'left_out',
) -> dict[str, float]:
  """Returns the scores of a run's best checkpoint, and writes its predictions.

  `predictions/<split>.npz` holds one entry per row of the split's list. For a
  task that predicts labels it is a file of `scoring.prediction_files`.
  `predictions/<split>.json` holds the scores; NaN becomes null.

  Args:
    workdir: of the run, or a folder of weights of an expression classifier.
    split: to predict.
    data: `<data_dir>/<dataset>` of another dataset than the run's own; its
      predictions have a folder of their own, see `file`.
    data_dir: folder of all built datasets, if it was moved after the training.
    weights_of: weights that predict, one of `prediction.choices`.
    contempt: of a folder of weights; 'left_out', or 'other', which takes Contempt
      for Other as the confidence filter of HSE-NN does.

  Raises:
    InputError: there is no such run, checkpoint or split, or the run's own dataset
      has changed since the training.
  """
  config = read_config(workdir, data=data, data_dir=data_dir, contempt=contempt)
  task = registry.make_task(config)
  source = task.source(split)
  mesh = sharding.make_mesh(fsdp=config['mesh']['fsdp'])
  with jax.set_mesh(mesh):
    shapes = steps.param_shapes(task, inputs.example(task, source), mesh)
    predict = functools.partial(
        prediction.predict_rows,
        steps.jit_predict_step(task, mesh),
        batches=inputs.eval_batches(task, source),
        mesh=mesh,
    )
    if weights.is_folder(workdir) or adapters.is_adapter(workdir):
      section = runs.read_config(workdir)['model']
      rows = predict(weights.load(workdir, section, shapes)[0])
    else:
      rows = prediction.predict_as(weights_of, predict, workdir, task, shapes)
  rows = source.listed(rows)
  scores = task.scores(rows)
  if jax.process_index() == 0:  # all have the same rows
    path = file(workdir, split, data=data, weights_of=weights_of)
    task.write(path, rows | source.names(rows), source.fingerprints())
    runs.write_scores(path.with_suffix('.json'), scores)
  return scores


def read_config(
    workdir: files.Path,
    *,
    data: files.Path | None = None,
    data_dir: files.Path | None = None,
    contempt: str = 'left_out',
) -> dict[str, Any]:
  """Returns the config of a run, with the dataset to predict.

  The arguments, and the errors about data, are those of `evaluate`.
  """
  config = runs.read_config(workdir)
  if config.get('data', {}).get('pseudo_labels'):
    config['data']['pseudo_labels'] = ''  # only true labels score a split
  if 'data' not in config:
    if data is None:
      raise errors.InputError(
          f'{workdir}: holds weights and no run, so there is no dataset to score '
          'on; give --data=DATA_DIR/DATASET, or the workdir of a run'
      )
    order = weights.read_labels(workdir)
    if contempt == 'other':
      order = tuple('Other' if x == 'Contempt' else x for x in order)
    return classifier.complete(config, order, data)
  if data is not None:
    config['data'] |= _other_data(config['data'], data)
    return config
  folder = str(data_dir or config['data']['dir'])
  if not files.path(folder).is_dir():
    raise errors.InputError(
        f'{folder}: there is no such folder; if the dataset of {workdir} was '
        'moved, give its new --data_dir'
    )
  runs.check_data(workdir, folder)
  config['data']['dir'] = folder
  return config


def file(
    workdir: files.Path,
    split: str,
    *,
    data: files.Path | None = None,
    weights_of: str = 'score',
) -> files.Path:
  """Returns where `evaluate` writes predictions."""
  folder = workdir / 'predictions'
  name = split if weights_of == 'score' else f'{split}_{weights_of}'
  return (folder / data.name if data else folder) / f'{name}.npz'


def validation_source(task: task_lib.Task) -> Any:
  """Returns the validation split, on which training scores itself.

  Raises:
    InputError: the dataset has none, or it cannot be read.
  """
  try:
    source = task.source('validation')
    source[0]  # from a bucket, it is copied now, not after hours of training
    return source
  except errors.InputError as e:
    raise errors.InputError(
        f'{e}; training scores itself on the split `validation`: build the '
        'dataset with one'
    ) from e


def _other_data(section: Mapping[str, Any], data: files.Path):
  """Returns the changes of a data section for another dataset."""
  # Mixing and folds of the run's own dataset do not apply to another one.
  own = {'num_folds': 0, 'validation': '', 'weights': ''}
  plain = {key: value for key, value in own.items() if key in section}
  return {'dir': str(data.parent), 'name': data.name} | plain
