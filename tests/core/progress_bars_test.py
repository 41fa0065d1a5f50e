"""In a log, a progress bar is a few lines."""

import sys

import pytest
import tqdm

from abaw_jax.core import progress_bars


@pytest.mark.parametrize(
    ('total', 'seconds', 'lines'),
    [
        (1000, 1000, 40),  # each half minute, and each tenth
        (1000, 100, 10),
        (1000, 2, 0),  # too short
        (None, 100, 3),
        (3, 60, 3),
    ],
)
def test_a_log_gets_a_line_per_tenth_or_half_minute(
    capsys, total, seconds, lines
):
  now = 0.0
  count = total or 1000
  bar = progress_bars._Lines(
      range(count), 'Writing', 'faces', total, clock=lambda: now
  )
  for i in bar:
    assert i >= 0
    now += seconds / count
  printed = capsys.readouterr().err.splitlines()
  assert len(printed) == pytest.approx(lines, abs=2)
  if printed and total:
    assert printed[-1].startswith('Writing: ')
    assert '/1,000 faces' in printed[-1] or total == 3
    assert printed[-1].endswith(' left')


def test_the_items_are_those_of_the_iterable_everywhere(monkeypatch, capsys):
  make = lambda: progress_bars.make(  # noqa: E731
      'abc', desc='x', unit='letters', total=3
  )
  assert list(make()) == ['a', 'b', 'c']
  monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
  with make() as bar:
    assert isinstance(bar, tqdm.tqdm)
    assert list(bar) == ['a', 'b', 'c']
  del capsys
