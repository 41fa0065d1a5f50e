"""The training loop, the same for every task.

Mesh -> inputs -> state -> load (resume this workdir > init_from > scratch) ->
loop -> close. Each turn: evaluate if due, save if due, take a batch, dispatch
the step; metrics are read one step later, so the device never waits for them.
"""

from collections.abc import Mapping
import contextlib
import pathlib
import signal
from typing import Any

import jax

from abaw_jax import errors
from abaw_jax.models import heads
from abaw_jax.training import (
    checkpoint,
    evaluation,
    experiment,
    inputs,
    progress,
    runs,
    sharding,
    steps,
    tasks,
    writer,
)

# Which part of a checkpoint starts which part of another model.
INIT_PARTS = {('mae', 'frame'): {'backbone': 'encoder'}}


def train(config: Mapping[str, Any], workdir: pathlib.Path) -> None:
  """Trains until the end, SIGTERM or too many skipped updates.

  Continues where the newest checkpoint of `workdir` stands; a run that ended
  returns at once. After SIGTERM a checkpoint is saved first.

  Args:
    config: plain nested dict of `configs/`, its dataset resolved.
    workdir: folder of the run, made if needed.

  Raises:
    InputError: if the workdir is another run's, the data or the weights to
      start from do not fit, or `max_bad_steps` updates in a row were skipped.
  """
  for change in runs.check(workdir, config):
    say(f'{workdir}: {change}; going on with the new value')
  if runs.is_done(workdir):
    say(f'{workdir}: has ended already; name another --workdir to train anew')
    return
  mesh = sharding.make_mesh(fsdp=config['mesh']['fsdp'])
  sharding.check_batch(
      config['data']['batch_size'], mesh, 'config.data.batch_size'
  )
  with _StopSignal() as stop, jax.set_mesh(mesh):
    _Loop(config, workdir, mesh, stop).run()


def say(text: str) -> None:
  """Prints a line, on the first process only."""
  if jax.process_index() == 0:
    print(text, flush=True)


class _StopSignal:
  """Notes SIGTERM, which preempted machines get before they are taken."""

  def __enter__(self):
    self.received = False
    self._before = signal.signal(signal.SIGTERM, self._note)
    return self

  def __exit__(self, *_):
    signal.signal(signal.SIGTERM, self._before)

  def _note(self, *_):
    self.received = True


class _Loop:
  """One run between its start and its end; holds what every turn needs."""

  def __init__(self, config, workdir, mesh, stop):
    self.config = config
    self.workdir = workdir
    self.mesh = mesh
    self.stop = stop
    self.source = inputs.make_source(config, 'train')
    self.validation = inputs.make_source(config, 'validation')
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
    # Only now: a config that cannot run leaves no mark on the workdir.
    runs.claim(workdir, config)
    self.checkpoints = checkpoint.Checkpoints(
        workdir, score=self.task.score, best=self.task.best
    )
    self.meter = progress.Meter()

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
    state, train_step = self._load(batches)
    start = int(state.step)
    split = sharding.over_batch(self.mesh)
    pending = None  # metrics to report, once they are there
    before = None  # metrics of the step before
    with writer.Writer(self.workdir, resume_step=start) as log:
      for step in range(start, self.total):
        stopping = self.stop.received
        evaluating = step > start and step % self.eval_steps == 0
        saving = step > start and step % self.config['save_steps'] == 0
        if stopping or evaluating or saving:
          # Lines of updates that a checkpoint holds are not written again.
          pending = self._report(pending, log)
          scores = self._evaluate(state, step, log) if evaluating else None
          self.checkpoints.save(state, batches, self.config, scores)
        if stopping:
          self.checkpoints.wait()
          say(f'SIGTERM: saved step {step}; the same command goes on from it')
          return None
        with self.meter.waiting():
          batch = next(batches)
        state, metrics = train_step(state, sharding.to_devices(batch, split))
        # Two steps in flight keep the device busy; more would only pile up
        # batches in memory.
        jax.block_until_ready(before)
        before = metrics
        self.meter.add(_count(batch))
        pending = self._report(pending, log)
        if (step + 1) % self.config['log_steps'] == 0 or step + 1 == self.total:
          pending = step + 1, metrics, self.meter.report()
      self._report(pending, log)
      scores = self._evaluate(state, self.total, log)
      self.checkpoints.save(state, batches, self.config, scores)
    return scores

  def _load(self, batches):
    """Returns the state to go on from, and the jitted step."""
    init, shapes = steps.jit_init(
        self.task,
        self.optimizer,
        self.mesh,
        inputs.example(self.config, self.source),
    )
    train_step = steps.jit_train_step(
        self.task, self.optimizer, self.mesh, shapes, seed=self.config['seed']
    )
    parameters = sum(x.size for x in jax.tree.leaves(shapes.params))
    say(
        f'{self.config["model"]["name"]}: {parameters:,} parameters on '
        f'{self.mesh.size} x {jax.devices()[0].device_kind}, {self.total:,} '
        f'updates; workdir {self.workdir}'
    )
    if self.checkpoints.latest_step() is not None:
      state = self.checkpoints.restore(shapes, batches)
      say(f'resuming from step {int(state.step)}')
      return state, train_step
    state = init(jax.random.key(self.config['seed']))
    if self.config['init_from']:
      state.params |= self._init_from(shapes.params)
    return state, train_step

  def _init_from(self, shapes):
    """Returns the parameters that start from another run's best ones."""
    origin = pathlib.Path(self.config['init_from'])
    source = runs.read_config(origin)['model']['name']
    target = self.config['model']['name']
    if source != target and (source, target) not in INIT_PARTS:
      raise errors.InputError(
          f'config.init_from={origin}: a {source} model cannot start a {target} '
          'model; name a run of the same model, or of mae for frame'
      )
    renames = None if source == target else INIT_PARTS[source, target]
    params, step = checkpoint.load_params(origin, shapes, renames=renames)
    say(f'starting {", ".join(params)} from {origin}, step {step}')
    return params

  def _evaluate(self, state, step, log):
    """Returns the scores on the validation split, written and said."""
    batches = inputs.eval_batches(self.config, self.validation)
    rows = evaluation.predict_rows(
        self.predict_step, state.params, batches, self.mesh
    )
    scores = evaluation.score_rows(rows)
    log.write_scalars(step, scores, split='validation')
    say(f'step {step:,}  validation  {evaluation.format_scores(scores)}')
    self.meter.report()  # evaluation is not training time
    return scores

  def _report(self, pending, log) -> None:
    """Writes and says one line, if there is any; stops a run that is lost."""
    if pending is None:
      return
    step, metrics, speed = pending
    metrics = {k: float(v) for k, v in jax.device_get(metrics).items()}
    lr = float(self.schedule(step - 1))
    log.write_scalars(
        step,
        metrics
        | {'lr': lr, 'items_per_s': speed.items_per_s, 'data_wait': speed.wait},
    )
    parts = {k: metrics[k] for k in heads.TASK_DIMS if k in metrics}
    say(
        progress.progress_line(
            step=step,
            total_steps=self.total,
            loss=metrics['loss'],
            parts=parts,
            lr=lr,
            speed=speed,
            unit=self.task.unit,
        )
    )
    if metrics['skipped_in_a_row'] >= self.config['max_bad_steps']:
      raise errors.InputError(
          f'step {step}: {metrics["skipped_in_a_row"]:.0f} updates in a row had '
          'gradients with NaN or Inf and were skipped (config.max_bad_steps='
          f'{self.config["max_bad_steps"]}); newest good checkpoint: step '
          f'{self.checkpoints.latest_step()} of {self.checkpoints.directory}; '
          'lower config.optim.lr or check the data, then start the same command'
      )


def _count(batch) -> int:
  """Returns the images or frames of a batch."""
  return int(batch.get('frame_mask', batch['real']).sum())
