"""The report about an accelerator, on the CPU."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from benchmarks.accelerator import __main__ as report
from benchmarks.accelerator import mae as mae_section
from benchmarks.accelerator import (
    operations,
    section,
    sizes,
    stand_ins,
    worker,
)

ROOT = pathlib.Path(__file__).parents[2]
COMMAND = (sys.executable, '-m', 'benchmarks.accelerator', '--smoke')
MISSING = (*stand_ins.OPTIONAL, 'transformers')
# Python runs this module at its start.
HIDE = f"""
from importlib import machinery
find = machinery.PathFinder.find_spec
machinery.PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition('.')[0] in {MISSING} else find(name, path, target)
)
"""


@pytest.fixture(scope='module')
def smoke(tmp_path_factory) -> dict[str, list[str]]:
  """Returns the lines of a report by section, without optional packages."""
  folder = tmp_path_factory.mktemp('report')
  (folder / 'sitecustomize.py').write_text(HIDE)
  paths = (str(folder), str(ROOT))
  done = subprocess.run(
      [*COMMAND, f'--out={folder / "report.md"}'],
      cwd=ROOT,
      env=os.environ
      | {'PYTHONPATH': os.pathsep.join(paths), 'OMP_NUM_THREADS': '1'},
      capture_output=True,
      text=True,
      check=False,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  assert (folder / 'report.md').read_text() == done.stdout
  parts = done.stdout.split('\n## ')[1:]
  return {title: text.splitlines() for title, _, text in map(_split, parts)}


def _split(part: str) -> tuple[str, str, str]:
  return part.partition('\n')


def rows(lines: list[str]) -> list[list[str]]:
  """Returns the cells of a Markdown table, without its first two lines."""
  found = [x[2:-2].split(' | ') for x in lines if x.startswith('| ')]
  return [cells for cells in found[1:] if '---' not in cells]


def number(cell: str) -> float:
  return float(re.match(r'[\d,.]+(e[+-]\d+)?', cell)[0].replace(',', ''))


def test_the_report_has_all_sections_in_order(smoke):
  assert list(smoke) == [spec.title for spec in worker.SECTIONS.values()]


def test_the_report_names_device_and_versions(smoke):
  values = dict(rows(smoke['Device']))
  assert values['devices'].endswith('x cpu')
  assert values['jax'] == jax.__version__


def test_every_model_agrees_with_the_cpu(smoke):
  found = rows(smoke['Parity with the CPU'])
  assert [cells[0] for cells in found] == [
      f'{name}, {dtype}'
      for name in sizes.SMOKE.models
      for dtype in ('float32', 'bfloat16')
  ]
  for label, loss, predictions, gradients, result in found:
    assert result == 'pass'
    errors = [number(x) for x in (loss, predictions, gradients)]
    # The device is the CPU, so only bfloat16 makes a difference.
    assert (max(errors) > 0) == ('bfloat16' in label)


def test_a_resumed_training_is_equal(smoke):
  assert [cells[1:] for cells in rows(smoke['Resume'])] == [
      ['bit for bit', 'pass'], ['bit for bit', 'pass']
  ]  # fmt: skip


def test_speed_and_memory_are_numbers(smoke):
  (cells,) = rows(smoke['MAE'])
  assert number(cells[1]) > 0
  assert number(cells[2]) > 0
  assert number(cells[4]) > 0
  (cells,) = rows(smoke['Temporal models'])
  assert all(number(x) > 0 for x in cells[1:])
  assert number(rows(smoke['Feature extraction'])[0][1]) > 0
  ours = rows(smoke['Fused attention'])[0]
  assert number(ours[2]) > 0
  assert ours[-1] == 'pass'


def test_missing_packages_are_notes(smoke):
  (cells,) = rows(smoke['MAE and PyTorch'])
  assert number(cells[1]) > 0
  assert cells[4] == 'transformers is not installed'
  (cells,) = rows(smoke['Frame models'])
  assert cells[2] == cells[5] == 'transformers is not installed'
  command = rows(smoke['Feature extraction'])[1]
  assert command[1] == 'array_record is not installed'


def test_the_largest_operations_have_shares(smoke):
  shares = [number(cells[1]) for cells in rows(smoke['Where the time goes'])]
  assert len(shares) == 5
  assert shares == sorted(shares, reverse=True)
  assert 0 < sum(shares) <= 100


def test_missing_pytorch_leaves_our_numbers(monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)

  def make_theirs():
    import torch

    return [torch.ones]

  found = section.Section(print, seconds=60)
  [(seconds, error)] = mae_section.against(
      found, [lambda: jnp.ones(())], make_theirs, sizes.SMOKE
  )
  assert error == 'torch is not installed'
  assert seconds[0] > 0
  assert not found.failed


def test_a_failing_section_is_one_line_and_the_next_one_runs(monkeypatch):
  broken = worker.Spec('Broken', 'device.no_such_function', 1)
  monkeypatch.setitem(worker.SECTIONS, 'broken', broken)
  lines = []
  failed = worker.write_sections(
      ['broken', 'device'], sizes.SMOKE, lines.append, seconds=60
  )
  assert failed
  assert lines[0] == '## Broken\n'
  assert lines[1].startswith('**error** AttributeError: module')
  assert lines[1].count('\n') == 1
  assert '| jax | ' + jax.__version__ + ' |' in lines


def test_a_table_skips_cases_that_take_too_long_and_survives_errors():
  clock = iter(range(0, 1000, 10))
  lines = []
  found = section.Section(lines.append, seconds=95, clock=lambda: next(clock))

  def fail():
    raise RuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 1 byte')

  cases = [('a', fail), ('b', lambda: ['1', '2']), ('c', lambda: ['3', '4'])]
  found.table(('case', 'x', 'y'), cases)
  assert lines[2:5] == [
      '| a | out of memory |  |',
      '| b | 1 | 2 |',
      '| c | skipped, no time left |  |',
  ]
  assert not found.failed


@pytest.mark.parametrize(
    ('program', 'last', 'failed'),
    [
        ('', 'first', False),
        ('sys.exit(1)', 'first', True),
        ('os.abort()', '\n**failed** with exit status -6\n', True),
        ('time.sleep(60)', '\nended after 1 s, its time was over\n', False),
    ],
)
def test_a_crashed_or_late_section_keeps_its_lines(program, last, failed):
  lines = []
  start = "import os, sys, time; print('first', flush=True); "
  found = report.run_section(
      [sys.executable, '-S', '-c', start + program],
      lines.append,
      seconds=1.0,
      environment=dict(os.environ),
  )
  assert found is failed
  assert lines[0] == 'first'
  assert lines[-1] == last


def test_sigterm_ends_the_report_and_its_section(tmp_path):
  with subprocess.Popen(
      [*COMMAND, f'--out={tmp_path / "report.md"}', '--sections=parity'],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      text=True,
  ) as process:
    assert process.stdout.readline() == '# Report of an accelerator\n'
    process.terminate()
    process.stdout.read()
  assert process.returncode == 128 + signal.SIGTERM
  assert 'Interrupted after' in (tmp_path / 'report.md').read_text()


def test_operations_of_a_recorded_trace(tmp_path):
  @jax.jit
  def product(x):
    for i in range(2):
      with jax.named_scope(f'blocks_{i}'):
        x = jnp.tanh(x @ x)
    return x

  x = jnp.ones((256, 256))
  compiled = product.lower(x).compile()
  with jax.profiler.trace(tmp_path):
    jax.block_until_ready(compiled(x))
  lines = operations.read_trace(tmp_path)
  labels = operations.labels(compiled.as_text())
  totals = operations.by_label(lines, labels)
  assert {'blocks_*/dot_general', 'blocks_*/tanh'} <= totals.keys()
  assert all(time >= 0 for time in totals.values())


def test_a_loop_does_not_count_the_operations_in_it():
  events = [(0, 10, 'while'), (1, 4, 'dot'), (2, 1, 'add'), (6, 3, 'dot')]
  assert operations.self_times([*events, (12, 5, 'dot')]) == {
      'while': 3, 'dot': 11, 'add': 1
  }  # fmt: skip


def test_a_fusion_is_named_like_its_last_instruction():
  program = """
%fused_computation.1 (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  %a.1 = f32[8]{0} add(%p, %p), metadata={op_name="jit(f)/blocks_1/add"}
  ROOT %m.2 = f32[8]{0} multiply(%a.1, %p), metadata={op_name="jit(f)/blocks_12/mul"}
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0), metadata={op_name="x"}
  ROOT %loop_fusion.7 = f32[8]{0} fusion(%x), calls=%fused_computation.1
}
"""
  lines = [[(0, 2, 'loop_fusion_7'), (2, 1, 'gemm_kernel.3')]]
  totals = operations.by_label(lines, operations.labels(program))
  assert totals == {'blocks_*/mul': 2, 'gemm_kernel': 1}


def test_a_missing_package_fails_only_when_it_is_used(monkeypatch):
  monkeypatch.setattr(
      sys, 'meta_path', [*sys.meta_path, stand_ins.Finder(('nowhere',))]
  )
  import nowhere
  from nowhere.part import thing

  class Child(nowhere.Base):
    field: nowhere.Base | None = None

  for use in (Child, thing.function, nowhere.part.Base.method):
    with pytest.raises(ModuleNotFoundError, match='nowhere is not installed'):
      use()
  with pytest.raises(ModuleNotFoundError, match='nowhere is not installed'):
    stand_ins.require('jax', 'nowhere')
  for name in ('nowhere', 'nowhere.part'):
    sys.modules.pop(name)
