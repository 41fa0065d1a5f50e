"""The operations of a train step that take the most time, from a trace."""

import collections
from collections.abc import Iterable, Mapping
import pathlib
import re
import statistics
import tempfile

import jax

from abaw_jax.forecasting import hlo
from benchmarks import harness
from benchmarks.accelerator import mae, sizes
from benchmarks.accelerator import section as section_lib

_UPDATES = 3
_LARGEST = 5
_SOURCE = re.compile(r'metadata=\{[^}]*?op_name="([^"]*)"')
# Without CUDA graphs, the trace of a GPU has the names of operations.
_OPTIONS = {'gpu': {'xla_gpu_enable_command_buffer': ''}}

Event = tuple[float, float, str]  # start, duration, name of the operation


def largest(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Writes the operations with the largest shares of the first MAE case."""
  case = config.mae_cases[0]
  options = _OPTIONS.get(jax.default_backend())
  steps, _, _ = mae.make_steps(case, config, compiler_options=options)
  (seconds,) = harness.measure(
      [steps.update], rounds=config.rounds, repeats=config.repeats
  )
  with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
      for _ in range(_UPDATES):
        result = steps.update()
      harness.wait(result)
    lines = read_trace(pathlib.Path(folder))
  totals = by_label(lines, labels(steps.compiled.as_text()))
  total = sum(totals.values())
  busy = total / _UPDATES / 1e6
  section.text(
      f'{mae.label(case)}: {1e3 * statistics.median(seconds):.2f} ms per update, '
      f'{busy:.2f} ms in operations. A `*` is the number of a block.'
  )
  top = sorted(totals.items(), key=lambda item: -item[1])[:_LARGEST]
  if not top:
    section.text('The trace has no operation.')
    return
  section.table(
      ('operation', 'share', 'ms per update'),
      [
          (
              name,
              lambda x=x: [f'{x / total:.1%}', f'{x / _UPDATES / 1e6:.3f}'],
          )
          for name, x in top
      ],
  )


def read_trace(folder: pathlib.Path) -> list[list[Event]]:
  """Returns the operations on every line of a trace of `jax.profiler`.

  A line is a stream of a GPU, a core of a TPU, or a thread of the CPU.
  """
  (path,) = folder.rglob('*.xplane.pb')
  planes = list(jax.profiler.ProfileData.from_file(str(path)).planes)
  devices = [plane for plane in planes if plane.name.startswith('/device:')]
  devices = [plane for plane in devices if any(_kernels(plane))]
  return [events for plane in devices or planes for events in _kernels(plane)]


def self_times(events: Iterable[Event]) -> dict[str, float]:
  """Returns the time of every operation of a line, without those inside of it."""
  totals: dict[str, float] = collections.defaultdict(float)
  open_events: list[tuple[float, str]] = []  # end and name
  for start, duration, name in sorted(events, key=lambda e: (e[0], -e[1])):
    while open_events and open_events[-1][0] <= start:
      open_events.pop()
    if open_events:
      totals[open_events[-1][1]] -= duration
    totals[name] += duration
    open_events.append((start + duration, name))
  return dict(totals)


def labels(program: str) -> dict[str, str]:
  """Returns a readable label for each instruction of an optimised program.

  It is the name of the JAX operation, without numbers of blocks. A fusion without a
  name has that of its last instruction. A GPU's kernel has the name of its
  instruction with `_` in place of `.` and `-`.
  """
  found, last = {}, {}
  # A computation stands before those that call it.
  for computation, body in hlo.parse(program).computations.items():
    for instruction in body.values():
      source = _SOURCE.search(instruction.attributes)
      texts = [source[1]] if source else map(last.get, instruction.called())
      if text := next(filter(None, texts), None):
        last[computation] = text
        found[_plain(instruction.name)] = _readable(text)
  return found


def by_label(
    lines: Iterable[Iterable[Event]], names: Mapping[str, str]
) -> dict[str, float]:
  """Returns the time of each label over all lines, in the unit of the events.

  Args:
    lines: of `read_trace`.
    names: of `labels`; other operations are named like in the trace.
  """
  totals: dict[str, float] = collections.defaultdict(float)
  for events in lines:
    for name, time in self_times(events).items():
      fallback = re.sub(r'[._]\d+', '', name)
      totals[names.get(_plain(name), fallback)] += time
  return dict(totals)


def _kernels(plane) -> list[list[Event]]:
  """Returns the operations of each line of a plane."""
  lines = list(plane.lines)
  named = [line for line in lines if line.name == 'XLA Ops']
  streams = [line for line in lines if line.name.startswith('Stream')]
  if plane.name.startswith('/device:'):
    chosen = [
        [(e.start_ns, e.duration_ns, _operation(e)) for e in line.events]
        for line in named or streams
    ]
  else:
    chosen = [
        [
            (e.start_ns, e.duration_ns, stats['hlo_op'])
            for e in line.events
            if 'hlo_op' in (stats := dict(e.stats))
        ]
        for line in lines
    ]
  return [events for events in chosen if events]


def _operation(event) -> str:
  """Returns the instruction of an event, or else its own name."""
  return dict(event.stats).get('hlo_op', event.name)


def _plain(name: str) -> str:
  return re.sub(r'[.\-]', '_', name)


def _readable(source: str) -> str:
  """Returns `jit(f)/a/blocks_3/b` as `a/blocks_*/b`."""
  name = source.partition('/')[2] or source
  return re.sub(r'(?<=_)\d+', '*', name).replace('|', '/')
