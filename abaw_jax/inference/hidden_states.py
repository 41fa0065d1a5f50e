"""Hidden states of a temporal run for every frame, as features of another one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.checkpoints import parameters, runs
from abaw_jax.core import files
from abaw_jax.data import sources
from abaw_jax.distributed import processes, sharding
from abaw_jax.inference import evaluation, prediction
from abaw_jax.sequences import feature_datasets
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs, registry, temporal
from abaw_jax.telemetry import journal

_RECORDS_PER_SHARD = 64


class HiddenStates(temporal.TemporalTask):
  """A temporal task whose rows are hidden states, not predictions."""

  def rows(self, output, batch) -> dict[str, jax.Array]:
    """Returns the inputs of the last layers of all trained tasks, joined."""
    hidden = [output['hidden'][name] for name in self.model.tasks]
    places = ('row', 'video_id', 'frame_mask')
    return {'features': jnp.concatenate(hidden, axis=-1)} | {
        name: batch[name] for name in places
    }


def is_temporal(workdir: files.Path) -> bool:
  """Returns whether this is the workdir of a temporal run, not of weights."""
  config = runs.read_config(workdir)
  if 'data' not in config:
    return False
  return issubclass(registry.task_class(config), temporal.TemporalTask)


def extract(
    workdir: files.Path,
    *,
    data: files.Path | None = None,
    overwrite: bool = False,
) -> None:
  """Writes the hidden states of a run into its folder, see `of_run`.

  Args:
    workdir: of a temporal run, whose best weights are used.
    data: `<data_dir>/<dataset>` of another dataset than the run's own, with the
      same feature sets.
    overwrite: replace hidden states of other weights.

  Raises:
    InputError: there is no such run or dataset, a part of it has changed, or
      hidden states of other weights exist.
  """
  config = evaluation.read_config(workdir, data=data)
  # All frames of all splits, each with the labels of its dataset.
  config['data'] |= {'num_folds': 0, 'full': False, 'fill_labels': 0}
  task = HiddenStates.from_config(config)
  folder, dataset = config['data']['dir'], config['data']['name']
  first = config['data']['features'].split(',')[0].strip()
  place = feature_datasets.place(dataset, first)
  mesh = sharding.make_mesh(fsdp=config['mesh']['fsdp'])
  with jax.set_mesh(mesh):
    example = inputs.example(task, task.source('train'))
    shapes = steps.param_shapes(task, example, mesh)
    params, step = parameters.load(workdir, shapes)
    records, hidden, fingerprints = {}, {}, {}
    for split in sources.split_names(folder, *place):
      source = task.source(split)
      records[split] = sources.Records(folder, *place, split)
      fingerprints = source.fingerprints()
      hidden[split] = _hidden(task, source, params, mesh)
  writer = feature_datasets.FeatureWriter(
      workdir / feature_datasets.OF_RUN,
      dataset,
      feature_datasets.HIDDEN,
      dim=next(iter(hidden.values()))['features'].shape[-1],
      card={
          'run': workdir.name,
          'step': step,
          'sha256': parameters.checksum(params),
          'output': 'hidden',
          'tasks': list(task.model.tasks),
      },
      num_records={split: len(found) for split, found in records.items()},
      records_per_shard=_RECORDS_PER_SHARD,
      source=fingerprints,
      overwrite=overwrite,
  )
  if writer.finished:
    journal.say(f'{writer.folder}: these hidden states exist already')
    return
  with processes.holding(writer.folder):
    if jax.process_index() == 0:
      _write(writer, records, hidden)
    processes.wait_for_all()
  if jax.process_index() == 0:
    journal.say(
        f'hidden states: {writer.folder}\ntrain on them with '
        f'--config.data.features={workdir}'
    )


def _hidden(task, source, params: Any, mesh) -> dict[str, np.ndarray]:
  """Returns sorted `row`, and `features`, of the rows of a split's list."""
  rows = prediction.predict_rows(
      steps.jit_predict_step(task, mesh),
      params,
      inputs.eval_batches(task, source),
      mesh,
  )
  rows = source.listed(rows)
  order = np.argsort(rows['row'])
  return {name: rows[name][order] for name in ('row', 'features')}


def _write(writer, records, hidden) -> None:
  """Writes the records with their hidden states in place of their features."""
  writer.begin()
  for shard in writer.missing():
    part, found = records[shard.split], hidden[shard.split]
    writer.write(
        shard,
        (
            _with_hidden(part[index], found)
            for index in range(shard.start, shard.stop)
        ),
    )
  writer.finish({split: len(found['row']) for split, found in hidden.items()})


def _with_hidden(record, found) -> dict[str, Any]:
  at = np.searchsorted(found['row'], record['row'])
  return record | {'features': found['features'][at]}
