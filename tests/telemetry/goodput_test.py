"""Every second counts for one phase, also if processes are killed."""

import pytest

from abaw_jax.telemetry import goodput


class _Clock:
  now = 100.0

  def __call__(self):
    return self.now


def spend(watch, clock, phase, seconds):
  with watch.phase(phase):
    clock.now += seconds


def test_phases_add_up_to_the_elapsed_time():
  clock = _Clock()
  watch = goodput.Stopwatch(elapsed=3.0, clock=clock)
  clock.now += 1.0
  spend(watch, clock, 'compile', 12.0)
  watch.switch('steps')
  clock.now += 20.0
  with watch.phase('evaluation'):
    clock.now += 2.0
    spend(watch, clock, 'plots', 0.5)
    clock.now += 1.0
  clock.now += 5.0
  watch.move(1.5, 'data_wait')
  assert watch.seconds() == dict.fromkeys(goodput.PHASES, 0.0) | {
      'init': 4.0,
      'compile': 12.0,
      'steps': 23.5,
      'data_wait': 1.5,
      'evaluation': 3.0,
      'plots': 0.5,
  }
  scalars = watch.scalars()
  assert scalars['wall_s'] == 3.0 + clock.now - 100.0
  assert scalars['goodput'] == pytest.approx(23.5 / scalars['wall_s'])


def test_an_exception_ends_its_phase():
  clock = _Clock()
  watch = goodput.Stopwatch(clock=clock)
  with pytest.raises(ZeroDivisionError), watch.phase('checkpoint'):
    _ = 1 / 0
  clock.now += 1.0
  assert watch.seconds()['init'] == 1.0


def test_summary():
  scalars = dict.fromkeys((f'{phase}_s' for phase in goodput.PHASES), 0.0)
  scalars |= {'goodput': 0.868, 'init_s': 3.14, 'compile_s': 12.4}
  scalars |= {'steps_s': 1234.5, 'data_wait_s': 0.06, 'lost_s': 0.04}
  assert goodput.summary(scalars) == (
      'goodput 87 %: init 3.1 s, compile 12 s, data wait 0.1 s, steps 1,234 s'
  )


class Process:
  """A process with 0.5 s per step that writes lines like the journal."""

  def __init__(self, lines, start):
    self.clock = _Clock()
    self.watch = goodput.Stopwatch(elapsed=2.0, clock=self.clock)
    self.watch.add(goodput.earlier(lines, start))
    self.lines = [
        line
        for line in lines
        if line['step'] < start + (line['split'] != 'goodput')
    ]
    self.write(start)
    self.watch.switch('steps')

  def write(self, step):
    self.lines.append({'step': step, 'split': 'train'})
    line = {'step': step, 'split': 'goodput'} | self.watch.scalars()
    self.lines.append(line)

  def steps(self, first, last, *, log=5):
    for step in range(first, last + 1):
      self.clock.now += 0.5
      if step % log == 0:
        self.write(step)


def test_steps_after_the_checkpoint_are_lost():
  first = Process([], 0)
  first.steps(1, 23)  # killed; step 20 is its last line
  assert first.lines[-1]['steps_s'] == 10.0

  second = Process(first.lines, 10)  # the checkpoint is of step 10
  seconds = second.watch.seconds()
  assert (seconds['steps'], seconds['lost'], seconds['init']) == (5.0, 5.0, 4.0)
  second.steps(11, 17)  # killed again, before the first save

  third = Process(second.lines, 10)
  seconds = third.watch.seconds()
  assert (seconds['steps'], seconds['lost'], seconds['init']) == (5.0, 7.5, 6.0)
  third.steps(11, 30)

  fourth = Process(third.lines, 30)  # the third process ended normally
  seconds = fourth.watch.seconds()
  assert (seconds['steps'], seconds['lost'], seconds['init']) == (
      15.0,
      7.5,
      8.0,
  )


def test_steps_that_are_saved_are_not_lost():
  first = Process([], 0)
  first.steps(1, 20)
  assert goodput.earlier(first.lines, 20)['lost'] == 0.0


def test_a_run_without_goodput_lines_starts_at_zero():
  assert goodput.earlier([{'step': 5, 'split': 'train', 'loss': 1.0}], 5) == {}
  assert goodput.earlier([], 0) == {}


def test_the_age_of_this_process():
  assert 0.0 < goodput.process_age() < 24 * 3600
