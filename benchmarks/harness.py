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
    return [rate(x, count, unit) for x in (self.ours, self.theirs)]

  def ratio(self) -> str:
    """Returns the median ratio of PyTorch's time to ours in a round, as text."""
    ratios = (b / a for a, b in zip(self.ours, self.theirs, strict=True))
    return f'{statistics.median(ratios):.2f}x'


def rate(seconds: Sequence[float], count: int, unit: str) -> str:
  """Returns the median rate as text, for rounds of `count` units."""
  value = count / statistics.median(seconds)
  return f'{value:,.{int(value < 1000)}f} {unit}/s'


def define_device() -> None:
  """Defines the flag --device; --help shows the flags of `cli`."""
  flags.DEFINE_enum(
      'device',
      'cpu',
      ['cpu', 'gpu'],
      'Device of both sides.',
      module_name=cli.__name__,
  )


def define_clock() -> None:
  """Defines the flag --clock."""
  flags.DEFINE_enum(
      'clock',
      'wall',
      list(CLOCKS),
      'Wall time, or CPU time of the process.',
      module_name=cli.__name__,
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


class Steps:
  """The jitted steps of the commands, on batches of one shape in turn.

  Attributes:
    task: the task of the config.
    compiled: the train step.
    compile_seconds: time of its tracing and compilation.
  """

  def __init__(
      self,
      config: Mapping[str, Any],
      batches: Sequence[Mapping[str, Any]],
      compiler_options: Mapping[str, str] | None = None,
  ):
    """Compiles the train step; the device holds nothing yet.

    Args:
      config: plain nested dict of `configs/`.
      batches: NumPy batches; after the last one, the first one is next.
      compiler_options: options of XLA for the train step.
    """
    import jax

    from abaw_jax.distributed import sharding
    from abaw_jax.steps import optimization, skipping, steps
    from abaw_jax.tasks import registry

    self.task = registry.make_task(config)
    schedule = optimization.make_schedule(
        config, total_steps=1000, warmup_steps=10
    )
    optimizer = skipping.skip_non_finite(
        optimization.make_optimizer(self.task, schedule)
    )
    self._mesh = sharding.make_mesh(fsdp=1)
    self._split = sharding.over_batch(self._mesh)
    self._batches = batches
    self._turns = {}
    start = time.perf_counter()
    with jax.set_mesh(self._mesh):
      self._init, shapes = steps.jit_init(
          self.task, optimizer, self._mesh, batches[0]
      )
      train = steps.jit_train_step(
          self.task, optimizer, self._mesh, shapes, seed=0
      )
      batch = {
          key: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._split)
          for key, x in batches[0].items()
      }
      self.compiled = train.lower(shapes, batch).compile(compiler_options)
      self._predict = steps.jit_predict_step(self.task, self._mesh)
    self.compile_seconds = time.perf_counter() - start
    self.shapes = shapes
    self.state = None
    self._carry = {'carry': x} if (x := self.task.carry()) else {}

  def update(self) -> Any:
    """Trains on the next batch; returns the scalars, without waiting."""
    import jax

    with jax.set_mesh(self._mesh):
      self._begin()
      self.state, metrics = self.compiled(self.state, self._next('update'))
    return metrics

  def predict(self) -> Any:
    """Returns the predictions for the next batch, without waiting."""
    import jax

    with jax.set_mesh(self._mesh):
      self._begin()
      output = self._predict(
          self.state.params, self._next('predict') | self._carry
      )
    self._carry = {key: output[key] for key in self._carry}
    return output

  def compile_predict(self) -> Any:
    """Returns the compiled step of `predict`, to read its program."""
    import jax

    with jax.set_mesh(self._mesh):
      batch = self._batches[0] | self._carry
      return self._predict.lower(self.shapes.params, batch).compile()

  def _begin(self) -> None:
    """Places the initial weights and all batches on the device, once."""
    import jax

    from abaw_jax.distributed import sharding

    if self.state is None:
      self.state = self._init(jax.random.key(0))
    if not self._turns:
      batches = [sharding.to_devices(x, self._split) for x in self._batches]
      for name in ('update', 'predict'):
        self._turns[name] = itertools.cycle(batches)

  def _next(self, name: str) -> dict[str, Any]:
    return dict(next(self._turns[name]))


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
  steps = (ours, theirs)
  return Comparison(
      *measure(steps, rounds=rounds, repeats=repeats, clock=clock)
  )


def measure(
    steps: Sequence[Step], *, rounds: int, repeats: int = 1, clock: str = 'wall'
) -> list[tuple[float, ...]]:
  """Returns the seconds of every round for each step; see `compare`.

  A round ends when the device has finished. Within a round, nothing waits for it.
  """
  now = CLOCKS[clock]

  def seconds(step: Step) -> float:
    start = now()
    for _ in range(repeats):
      result = step()
    wait(result)
    return (now() - start) / repeats

  _warm_up(steps)
  turns = [[seconds(step) for step in steps] for _ in range(rounds)]
  return list(zip(*turns, strict=True))


def wait(result: object) -> None:
  """Waits until arrays of JAX, or a tensor of PyTorch with one number, are ready."""
  import jax

  if hasattr(result, 'cpu'):
    result.item()
  else:
    jax.block_until_ready(result)


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


def _warm_up(steps: Sequence[Step]) -> None:
  """Calls the steps twice: to compile, and to fill caches."""
  for step in (*steps, *steps):
    wait(step())
