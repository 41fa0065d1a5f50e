"""Shared parts of the comparisons with PyTorch: device, steps, clock and table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import itertools
import os
import statistics
import time
from typing import Any

from absl import flags

from abaw_jax.core import cli, text_table

CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}

Step = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Seconds of every round."""

  ours: tuple[float, ...]
  theirs: tuple[float, ...]

  def rates(self, count: int, unit: str) -> list[str]:
    """Returns our median rate and PyTorch's as text.

    Args:
      count: units in a round.
      unit: such as 'images'.
    """
    seconds = map(statistics.median, (self.ours, self.theirs))
    rates = [count / x for x in seconds]
    return [f'{x:,.{int(x < 1000)}f} {unit}/s' for x in rates]

  def ratio(self) -> str:
    """Returns the median ratio of PyTorch's time to ours in a round, as text."""
    ratios = (b / a for a, b in zip(self.ours, self.theirs, strict=True))
    return f'{statistics.median(ratios):.2f}x'


def define_device() -> None:
  """Defines the flag --device."""
  flags.DEFINE_enum('device', 'cpu', ['cpu', 'gpu'], 'Device of both sides.')


def define_clock() -> None:
  """Defines the flag --clock."""
  flags.DEFINE_enum(
      'clock', 'wall', list(CLOCKS), 'Wall time, or CPU time of the process.'
  )


def share_device(device: str) -> None:
  """Leaves GPU memory for PyTorch; fails if JAX uses another device.

  Call this before the first use of JAX.

  Args:
    device: 'cpu' or 'gpu'.
  """
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  import jax

  from abaw_jax.cpu import host_memory

  host_memory.keep_freed()  # as in the train command
  if jax.default_backend() != device:
    cli.fail(
        f'--device={device}: JAX uses {jax.default_backend()}; choose this '
        'device, or set JAX_PLATFORMS'
    )


def make_steps(
    config: Mapping[str, Any], batches: Sequence[Mapping[str, Any]]
) -> tuple[Step, Step, Any]:
  """Returns (update, predict, task): the jitted steps of the commands.

  Each call takes the next batch, starts again after the last one, and waits for
  the device.

  Args:
    config: plain nested dict of `configs/`.
    batches: NumPy batches of one shape.
  """
  import jax

  from abaw_jax.distributed import sharding
  from abaw_jax.steps import optimization, steps
  from abaw_jax.tasks import registry

  task = registry.make_task(config)
  schedule = optimization.make_schedule(
      config, total_steps=1000, warmup_steps=10
  )
  optimizer = steps.skip_non_finite(optimization.make_optimizer(task, schedule))
  mesh = sharding.make_mesh(fsdp=1)
  with jax.set_mesh(mesh):
    init, shapes = steps.jit_init(task, optimizer, mesh, batches[0])
    train = steps.jit_train_step(task, optimizer, mesh, shapes, seed=0)
    evaluate = steps.jit_predict_step(task, mesh)
    state = init(jax.random.key(0))
  split = sharding.over_batch(mesh)
  batches = [sharding.to_devices(batch, split) for batch in batches]
  to_train, to_predict = itertools.cycle(batches), itertools.cycle(batches)
  carry = {'carry': x} if (x := task.carry()) else {}

  def update() -> None:
    nonlocal state
    with jax.set_mesh(mesh):
      state, metrics = train(state, next(to_train))
    jax.block_until_ready(metrics)

  def predict() -> None:
    nonlocal carry
    with jax.set_mesh(mesh):
      output = evaluate(state.params, dict(next(to_predict)) | carry)
    jax.block_until_ready(output)
    carry = {key: output[key] for key in carry}

  return update, predict, task


def compare(
    ours: Step,
    theirs: Step,
    *,
    rounds: int,
    repeats: int = 1,
    clock: str = 'wall',
) -> Comparison:
  """Times two functions in alternating rounds, after a warm-up.

  Args:
    ours: our step.
    theirs: PyTorch's step.
    rounds: number of rounds of both.
    repeats: calls in a round; times are per call.
    clock: a key of CLOCKS.
  """
  now = CLOCKS[clock]

  def seconds(step: Step) -> float:
    start = now()
    for _ in range(repeats):
      step()
    return (now() - start) / repeats

  _warm_up((ours, theirs))
  pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
  return Comparison(*zip(*pairs, strict=True))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
  """Prints a Markdown table; prints each row when it is ready."""
  print('\n'.join(text_table.markdown([columns])), flush=True)
  for row in rows:
    print(text_table.markdown([row])[0], flush=True)


def print_models(
    columns: Sequence[str], make_row: Callable[[str, int], Sequence[str]]
) -> None:
  """Prints a row for each backbone of --models on --device, with --dtype.

  Args:
    columns: names of the columns.
    make_row: maps a backbone and a batch size to a row.
  """
  args = flags.FLAGS
  share_device(args.device)
  import jax

  print(f'{jax.devices()[0].device_kind}, {args.dtype}')
  models = (text.partition(':') for text in args.models)
  print_table(columns, (make_row(x, int(count)) for x, _, count in models))


def _warm_up(steps: Iterable[Step]) -> None:
  """Calls the steps twice: to compile, and to fill caches."""
  for step in (*steps, *steps):
    step()
