"""The process that runs sections; standard output is the report.

  python -m benchmarks.accelerator.worker --section=mae --seconds=60

The exit status is 1 if a section failed.
"""

from benchmarks.accelerator import stand_ins

stand_ins.install()

from collections.abc import Callable, Sequence  # noqa: E402
import contextlib  # noqa: E402
import dataclasses  # noqa: E402
import importlib  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

from absl import flags  # noqa: E402

from abaw_jax.core import cli  # noqa: E402
from benchmarks.accelerator import section as section_lib  # noqa: E402
from benchmarks.accelerator import sizes  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Spec:
  """A section before it runs.

  Attributes:
    title: heading in the report.
    function: `module.function` of this package; it takes a Section and Sizes.
    share: part of the time; the unit does not matter.
    torch: whether PyTorch uses the device too.
  """

  title: str
  function: str
  share: int
  torch: bool = False


# In the order of their importance.
SECTIONS = {
    'device': Spec('Device', 'device.describe', 20),
    'parity': Spec('Parity with the CPU', 'correctness.parity', 60),
    'resume': Spec('Resume', 'correctness.resume', 25),
    'mae': Spec('MAE', 'mae.alone', 140),
    'mae_torch': Spec('MAE and PyTorch', 'mae.compared', 110, torch=True),
    'attention': Spec('Fused attention', 'attention.compare', 30),
    'operations': Spec('Where the time goes', 'operations.largest', 30),
    'temporal': Spec('Temporal models', 'others.temporal', 30, torch=True),
    'frame': Spec('Frame models', 'others.frame', 30, torch=True),
    'extraction': Spec('Feature extraction', 'extraction.rates', 25),
}


def write_sections(
    names: Sequence[str],
    config: sizes.Sizes,
    write: Callable[[str], object],
    seconds: float,
) -> bool:
  """Runs sections one after the other; returns whether one failed."""
  failed = False
  section = section_lib.Section(write, seconds)
  for name in names:
    write(f'## {SECTIONS[name].title}\n')
    if section.left() <= 0:
      section.text('skipped, no time left')
      continue
    module, _, function = SECTIONS[name].function.partition('.')

    def work(module=module, function=function):
      module = importlib.import_module(f'benchmarks.accelerator.{module}')
      getattr(module, function)(section, config)

    if line := section.attempt(work):
      section.text(line)
    failed |= section.failed
  return failed


def main() -> int:
  """Runs the sections of the flags."""
  args = flags.FLAGS
  names = args.section
  if any(SECTIONS[name].torch for name in names):
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  platforms = os.environ.get('JAX_PLATFORMS', '')
  if platforms and 'cpu' not in platforms.split(','):
    os.environ['JAX_PLATFORMS'] = f'{platforms},cpu'  # for the reference
  # Libraries print on standard output, and only the report belongs there.
  with contextlib.closing(os.fdopen(os.dup(1), 'w', buffering=1)) as report:
    sys.stdout.flush()
    os.dup2(2, 1)
    failed = write_sections(
        names,
        sizes.SMOKE if args.smoke else sizes.FULL,
        lambda line: report.write(f'{line}\n'),
        args.seconds,
    )
  return int(failed)


if __name__ == '__main__':
  flags.DEFINE_multi_enum('section', [], list(SECTIONS), 'Sections to run.')
  flags.DEFINE_float('seconds', 600.0, 'Time for all of them.')
  flags.DEFINE_bool('smoke', False, 'Whether models are tiny.')
  cli.run(main, __doc__)
