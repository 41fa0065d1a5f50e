"""The training loop, the same for every task.

Mesh -> inputs -> state -> load (resume this workdir > init_from > scratch) ->
loop -> close. Each turn: draw if due, evaluate if due, save if due, take a
batch, dispatch the step; metrics are read one step later, so the device never
waits for them. A stopwatch notes what the time goes into.
"""

from collections.abc import Mapping
import contextlib
import pathlib
from typing import Any

import jax

from abaw_jax import errors
from abaw_jax.models import flops
from abaw_jax.training import (
    checkpoint,
    compilation,
    evaluation,
    experiment,
    goodput,
    hardware,
    inputs,
    journal,
    pictures,
    preemption,
    profiling,
    progress,
    runs,
    sharding,
    steps,
    tasks,
    weights,
)


def train(
    config: Mapping[str, Any], workdir: pathlib.Path, *, elapsed: float = 0.0
) -> None:
  """Trains until the end, SIGTERM or too many skipped updates.

  Continues where the newest checkpoint of `workdir` stands; a run that ended
  returns at once. After SIGTERM a checkpoint is saved first.

  Args:
    config: plain nested dict of `configs/`, its dataset resolved.
    workdir: folder of the run, made if needed.
    elapsed: seconds that the run has taken so far, for its goodput.

  Raises:
    InputError: if the workdir is another run's, the data or the weights to
      start from do not fit, or `max_bad_steps` updates in a row were skipped.
  """
  watch = goodput.Stopwatch(elapsed=elapsed)
  for change in runs.check(workdir, config):
    journal.say(f'{workdir}: {change}; going on with the new value')
  if runs.is_done(workdir):
    journal.say(
        f'{workdir}: has ended already; name another --workdir to train anew'
    )
    return
  mesh = sharding.make_mesh(fsdp=config['mesh']['fsdp'])
  sharding.check_batch(
      config['data']['batch_size'],
      mesh,
      'config.data.batch_size',
      microbatches=config['optim']['microbatches'],
  )
  with preemption.Notice() as stop, jax.set_mesh(mesh):
    _Loop(config, workdir, mesh, stop, watch).run()


class _Loop:
  """One run between its start and its end; holds what every turn needs."""

  def __init__(self, config, workdir, mesh, stop, watch):
    self.config = config
    self.workdir = workdir
    self.mesh = mesh
    self.stop = stop
    self.watch = watch
    self.source = inputs.make_source(config, 'train')
    self.validation = evaluation.validation_source(config)
    self.example = inputs.example(config, self.source)
    self.total = max(1, self._steps(config['epochs']))
    self.eval_steps = self._steps(config['eval_epochs']) or self.total
    self.task = tasks.make_task(config)
    self.schedule = experiment.make_schedule(
        config,
        total_steps=self.total,
        warmup_steps=self._steps(config['optim']['warmup_epochs']),
    )
    self.optimizer = steps.skip_non_finite(
        experiment.make_optimizer(config, self.schedule)
    )
    self.predict_step = steps.jit_predict_step(self.task, mesh)
    self.pictures = pictures.make_pictures(
        config, self.task, mesh, self.validation
    )
    self.profile = profiling.Profile(
        workdir / 'tb',
        watch,
        start=config['profile_start'],
        count=config['profile_steps'],
        total=self.total,
    )
    # Only now: a config that cannot run leaves no mark on the workdir.
    runs.claim(workdir, config)
    self.checkpoints = checkpoint.Checkpoints(
        workdir, score=self.task.score, best=self.task.best
    )
    row_flops = flops.train_flops(
        self.task.model, self.example, freeze=config['optim']['freeze']
    )
    self.meter = progress.Meter(
        watch,
        flops_per_step=row_flops * config['data']['batch_size'] / mesh.size,
        peak_flops=hardware.peak_flops(jax.devices()[0].device_kind),
    )

  def _steps(self, epochs: float) -> int:
    return round(epochs * len(self.source) / self.config['data']['batch_size'])

  def run(self) -> None:
    """Trains to the end or to the signal."""
    batches = inputs.train_batches(self.config, self.source)
    with contextlib.closing(batches), contextlib.closing(self.checkpoints):
      scores = self._train(batches)
    if scores is not None:
      # Only now is the last checkpoint whole.
      runs.write_scores(self.workdir / 'DONE', {'step': self.total} | scores)

  def _train(self, batches) -> dict[str, float] | None:
    """Returns the scores at the end, None after the signal."""
    init, shapes = steps.jit_init(
        self.task, self.optimizer, self.mesh, self.example
    )
    state = self._load(init, shapes, batches)
    train_step = self._compile(shapes)
    start = int(state.step)
    split = sharding.over_batch(self.mesh)
    before = None  # metrics of the step before
    with (
        contextlib.closing(self._open_journal(start)) as log,
        contextlib.closing(self.profile),
    ):
      self.watch.switch('steps')
      for step in range(start, self.total):
        stopping = self.stop.received
        evaluating, saving, drawing = (
            step > start and every and step % every == 0
            for every in (
                self.eval_steps,
                self.config['save_steps'],
                self.config['plot_steps'],
            )
        )
        if drawing:
          self._draw(state, step, log)
        if stopping or evaluating or saving:
          # Lines of updates that a checkpoint holds are not written again.
          self._report(log)
          scores = self._evaluate(state, step, log) if evaluating else None
          self._save(state, batches, scores)
        if stopping:
          self._finish(step, log)
          journal.say(
              f'SIGTERM: saved step {step}; the same command goes on from it'
          )
          return None
        if evaluating or saving:
          log.write_goodput(step)
        self.profile.begin(step, before)
        with self.meter.waiting():
          batch = next(batches)
        with jax.profiler.StepTraceAnnotation('train', step_num=step):
          state, metrics = train_step(state, sharding.to_devices(batch, split))
        self.meter.add(_count(batch), metrics)
        # Two steps in flight keep the device busy; more would only pile up
        # batches in memory.
        jax.block_until_ready(before)
        before = metrics
        if self._report(log):
          log.write_goodput(step)
        if (step + 1) % self.config['log_steps'] == 0 or step + 1 == self.total:
          log.note(step + 1, metrics)
        self.profile.end(step + 1, metrics)
      self._report(log)
      if self.pictures:
        self._draw(state, self.total, log)
      scores = self._evaluate(state, self.total, log)
      self._save(state, batches, scores)
      self._finish(self.total, log)
    return scores

  def _load(self, init, shapes, batches) -> steps.TrainState:
    """Returns the state to go on from."""
    parameters = sum(x.size for x in jax.tree.leaves(shapes.params))
    journal.say(
        f'{self.config["model"]["name"]}: {parameters:,} parameters on '
        f'{self.mesh.size} x {jax.devices()[0].device_kind}, {self.total:,} '
        f'updates; workdir {self.workdir}'
    )
    if self.checkpoints.latest_step() is not None:
      state = self.checkpoints.restore(shapes, batches)
      journal.say(f'resuming from step {int(state.step)}')
      return state
    state = init(jax.random.key(self.config['seed']))
    if self.config['init_from']:
      origin = pathlib.Path(self.config['init_from'])
      params, _ = weights.load(origin, self.config['model'], shapes.params)
      state.params |= params
      journal.say(f'starting {", ".join(params)} from {origin}')
    return state

  def _compile(self, shapes) -> jax.stages.Compiled:
    """Returns the compiled step."""
    step = steps.jit_train_step(
        self.task,
        self.optimizer,
        self.mesh,
        shapes,
        seed=self.config['seed'],
        microbatches=self.config['optim']['microbatches'],
        freeze=self.config['optim']['freeze'],
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

  def _open_journal(self, start) -> journal.Journal:
    return journal.Journal(
        self.workdir,
        self.watch,
        self.meter,
        schedule=self.schedule,
        start=start,
        total=self.total,
        unit=self.task.unit,
    )

  def _evaluate(self, state, step, log) -> dict[str, float]:
    """Returns the scores on the validation split, written and said."""
    with self.watch.phase('evaluation'):
      batches = inputs.eval_batches(self.config, self.validation)
      rows = evaluation.predict_rows(
          self.predict_step, state.params, batches, self.mesh
      )
      scores = evaluation.score_rows(rows)
    log.write_scores(step, scores)
    return scores

  def _draw(self, state, step, log) -> None:
    with self.watch.phase('plots'):
      image, _ = self.pictures.draw(state.params)
      log.write_picture(step, self.pictures.name, image)

  def _save(self, state, batches, scores) -> None:
    with self.watch.phase('checkpoint'):
      self.checkpoints.save(state, batches, self.config, scores)

  def _finish(self, step, log) -> None:
    """Waits for the last save, then says where the time went."""
    with self.watch.phase('checkpoint'):
      self.checkpoints.wait()
    log.write_goodput(step, aloud=True)

  def _report(self, log) -> bool:
    """Returns whether a line was written; stops a run that is lost."""
    metrics = log.write_noted()
    if metrics.get('skipped_in_a_row', 0) >= self.config['max_bad_steps']:
      raise errors.InputError(
          f'step {metrics["step"]}: {metrics["skipped_in_a_row"]:.0f} updates in '
          'a row had gradients with NaN or Inf and were skipped '
          f'(config.max_bad_steps={self.config["max_bad_steps"]}); newest good '
          f'checkpoint: step {self.checkpoints.latest_step()} of '
          f'{self.checkpoints.directory}; lower config.optim.lr or check the '
          'data, then start the same command'
      )
    return bool(metrics)


def _count(batch) -> int:
  """Returns the images or frames of a batch."""
  return int(batch.get('frame_mask', batch['real']).sum())
