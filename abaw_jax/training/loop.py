"""The training loop, the same for every task.

Mesh -> inputs -> state -> load (resume this workdir > init_from > scratch) ->
loop -> close. Each iteration: draw, evaluate and save if due, fetch a batch, dispatch
the step. Metrics are read one step later, so the device never waits for them.

Every process runs the same loop on the same state. Each reads its own part of
every batch. Only the first writes and prints.
"""

from collections.abc import Collection, Mapping
import contextlib
from typing import Any

import jax

from abaw_jax.checkpoints import adoption, runs
from abaw_jax.core import files
from abaw_jax.distributed import preemption, processes, sharding
from abaw_jax.inference import evaluation, pictures
from abaw_jax.models.layers import variables
from abaw_jax.steps import compilation, freezing, optimization, skipping, steps
from abaw_jax.tasks import inputs, registry
from abaw_jax.telemetry import goodput, hardware, journal, profiling, progress
from abaw_jax.telemetry import weights_and_biases as wandb
from abaw_jax.training import ending, memory, restore, selection, triggers


def train(
    config: Mapping[str, Any],
    workdir: files.Path,
    *,
    elapsed: float = 0.0,
    given: Collection[str] = (),
) -> None:
  """Trains until the end, SIGTERM or too many skipped updates.

  Continues from the newest checkpoint of `workdir`. A run that has ended returns
  at once. After SIGTERM or SIGHUP, a checkpoint is saved first.

  Args:
    config: plain nested dict of `configs/`, its dataset resolved.
    workdir: folder of the run, made if needed.
    elapsed: seconds that the run has taken so far, for its goodput.
    given: keys of the config that the user set, see `adoption.adopt`.

  Raises:
    InputError: the workdir belongs to another run or to other data, the data or the
      first weights do not fit, or `max_bad_steps` updates in a row were skipped.
  """
  watch = goodput.Stopwatch(elapsed=elapsed)
  config, adopted = adoption.adopt(runs.absolute(config), workdir, given)
  changes = runs.check(workdir, config)
  runs.check_data(workdir, config['data']['dir'])
  done = runs.is_done(workdir)
  processes.check_same(runs.shared(config) | {f'{workdir}/DONE': done})
  notes = [f'{workdir}: {change}; using the new value' for change in changes]
  for line in [*adopted, *notes]:
    journal.say(line)
  if done:
    journal.say(
        f'{workdir}: this run has ended; name another --workdir to train again'
    )
    return
  mesh = sharding.make_mesh(**config['mesh'])
  sharding.check_batch(
      config['data']['batch_size'],
      mesh,
      'config.data.batch_size',
      microbatches=config['optim']['microbatches'],
  )
  with preemption.Notice() as stop, jax.set_mesh(mesh):
    _Loop(config, workdir, mesh, stop, watch).run()


class _Loop:
  """One run between its start and its end."""

  def __init__(self, config, workdir, mesh, stop, watch):
    self.config = config
    self.workdir = workdir
    self.mesh = mesh
    self.stop = stop
    self.watch = watch
    task = registry.make_task(config)
    selection.check(task)
    ending.check(config)
    wandb.check(config['wandb']['project'])
    self.source = task.source('train')
    processes.check_same(runs.flatten(self.source.fingerprints()))
    self.validation = evaluation.validation_source(task)
    self.task = task.fitted(self.source)
    self.example = inputs.example(self.task, self.source)
    self.total = max(1, self._steps(config['epochs']))
    self.epoch_ends = inputs.epoch_ends(config, self.source)
    self.eval_steps = self._steps(config['eval_epochs']) or self.total
    self.schedule = optimization.make_schedule(
        config,
        total_steps=self.total,
        warmup_steps=self._steps(config['optim']['warmup_epochs']),
        epoch_ends=self.epoch_ends,
    )
    self.optimizer = skipping.skip_non_finite(
        optimization.make_optimizer(self.task, self.schedule)
    )
    self.plots = pictures.Plots(self.task, mesh, self.validation)
    self.profile = profiling.Profile(
        workdir / 'tb',
        watch,
        start=config['profile_start'],
        count=config['profile_steps'],
        total=self.total,
    )
    if config['data']['in_memory']:
      self.source, self.validation = memory.load(
          self.task, self.source, self.validation
      )
    # Not earlier: a config that cannot run must not change the workdir.
    if jax.process_index() == 0:
      runs.claim(workdir, config, self.source.fingerprints())
      runs.write_untrained(workdir, self.task.untrained(self.source))
    processes.wait_for_all()
    runs.wait_for_claim(workdir)
    self.selection = selection.Selection(
        self.task, workdir, mesh, self.validation
    )
    flops = optimization.update_flops(self.task, self.example) / mesh.size
    self.meter = progress.Meter(
        watch,
        flops_per_step=flops,
        peak_flops=hardware.peak_flops(jax.devices()[0].device_kind),
    )

  def _steps(self, epochs: float) -> int:
    return inputs.num_updates(self.config, self.source, epochs)

  def run(self) -> None:
    """Trains until the end or SIGTERM."""
    batches = inputs.train_batches(self.task, self.source)
    with (
        contextlib.closing(batches),
        contextlib.closing(self.selection),
        processes.exiting_together(),
    ):
      scores = self._train(batches)
    if scores is not None and jax.process_index() == 0:
      # Not earlier: the last checkpoint is complete now.
      runs.write_scores(self.workdir / 'DONE', scores)

  def _train(self, batches) -> dict[str, float] | None:
    """Returns the last `step` with its scores, None after SIGTERM."""
    init, shapes = steps.jit_init(
        self.task,
        self.optimizer,
        self.mesh,
        self.example,
        ema=self.config['optim']['ema'],
    )
    state = self._load(init, shapes, batches)
    train_step = self._compile(shapes)
    first = int(state.step)
    split = sharding.over_batch(self.mesh)
    previous = None  # metrics of the previous step
    with (
        contextlib.closing(self._open_journal(first)) as log,
        contextlib.closing(self.profile),
    ):
      self.watch.switch('steps')
      triggered = triggers.make_triggers(
          self.config, self.stop, self.mesh, first, self.eval_steps
      )
      last, scores = self.total, None
      if ending.is_exhausted(self.task, log):  # killed while it ended
        last = first
      for step in range(first, last):
        due = triggered.at(step)
        if due.drawing:
          self._draw(state, step, log)
        if due.saving:
          # A resumed run does not repeat these updates, nor their lines.
          self._report(log)
          scores = self._evaluate(state, step, log) if due.evaluating else None
          if due.evaluating and ending.is_exhausted(self.task, log):
            last = step
            break
          self._save(state, batches, scores, log)
          scores = None
        if due.stopping:
          self._finish(step, log)
          journal.say(
              f'stopped: saved step {step}; the same command resumes from it'
          )
          return None
        if due.saving:
          log.write_goodput(step)
        self.profile.begin(step, previous)
        with self.meter.waiting():
          batch = next(batches)
        with jax.profiler.StepTraceAnnotation('train', step_num=step):
          state, metrics = train_step(state, sharding.to_devices(batch, split))
        self.meter.add(progress.count_items(batch), metrics)
        # Two steps in flight keep the device busy. More only fill the memory
        # with batches.
        jax.block_until_ready(previous)
        previous = metrics
        if self._report(log):
          log.write_goodput(step)
        if (step + 1) % self.config['log_steps'] == 0 or step + 1 == self.total:
          log.note(step + 1, metrics)
        self.profile.end(step + 1, metrics)
      if self.config['plot_steps']:
        self._draw(state, last, log)
      self._report(log)
      if scores is None:
        scores = self._evaluate(state, last, log)
      self._save(state, batches, scores, log)
      self._finish(last, log)
      self.selection.report()
    return {'step': last} | scores

  def _load(self, init, shapes, batches) -> steps.TrainState:
    """Returns the state that training starts with."""
    params, _ = variables.split(shapes.params)
    size = freezing.size(params, self.config['optim']['freeze'])
    journal.say(
        f'{self.task.name}: {size} on '
        f'{self.mesh.size} x {jax.devices()[0].device_kind}, {self.total:,} '
        f'updates; workdir {self.workdir}'
    )
    for line in runs.untrained_note(runs.read_untrained(self.workdir)):
      journal.say(line)
    kept = self.selection.checkpoints
    state = restore.load_state(
        self.task, kept, init, shapes, batches, self.source
    )
    self.selection.resume(state)
    return state

  def _compile(self, shapes) -> jax.stages.Compiled:
    """Returns the compiled step."""
    step = steps.jit_train_step(
        self.task,
        self.optimizer,
        self.mesh,
        shapes,
        epoch_ends=self.epoch_ends,
        **optimization.step_options(self.config),
    )
    with self.watch.phase('compile'):
      compiled, num_bytes = compilation.compile_step(
          step,
          shapes,
          self.example,
          self.mesh,
          batch_size=self.config['data']['batch_size'],
      )
    journal.say(f'an update takes {num_bytes / 2**30:.2f} GiB of each device')
    return compiled

  def _open_journal(self, first) -> journal.Journal:
    return journal.Journal(
        self.workdir,
        self.watch,
        self.meter,
        config=self.config,
        schedule=self.schedule,
        start=first,
        total=self.total,
        unit=self.task.unit,
    )

  def _evaluate(self, state, step, log) -> dict[str, float]:
    """Returns the scores on the validation split, after writing them."""
    with self.watch.phase('evaluation'):
      scores = self.selection.scores(state.weights)
    log.write_scores(step, scores, self.task.summary(scores))
    return scores

  def _draw(self, state, step, log) -> None:
    with self.watch.phase('plots'):
      self.plots.draw(state, step, log)

  def _save(self, state, batches, scores, log) -> None:
    with self.watch.phase('checkpoint'):
      log.upload()  # a resumed run does not write these lines again
      self.selection.save(state, batches, scores)

  def _finish(self, step, log) -> None:
    """Waits for the last save, then prints where the time went."""
    with self.watch.phase('checkpoint'):
      self.selection.checkpoints.wait()
    log.write_goodput(step, show=True)

  def _report(self, log) -> bool:
    """Returns whether a line was written; stops a run that diverged."""
    metrics = log.write_noted()
    if metrics:
      newest = self.selection.checkpoints.newest
      ending.check_progress(metrics, self.config, newest)
    return bool(metrics)
