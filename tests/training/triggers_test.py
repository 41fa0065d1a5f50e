"""When to evaluate, save, draw and stop: by updates, by minutes, by signal."""

from abaw_jax.distributed import preemption, sharding
from abaw_jax.training import triggers


class Clock:
  seconds = 1000.0

  def __call__(self):
    return self.seconds


def make(clock, *, start=0, **every):
  stop = preemption.Notice()
  stop.received = False  # as after __enter__
  none = dict.fromkeys(('eval_steps', 'save_steps', 'plot_steps'), 0)
  arguments = none | {'save_minutes': 0.0} | every
  made = triggers.Triggers(
      stop, sharding.make_mesh(fsdp=1), start=start, clock=clock, **arguments
  )
  return made, stop


def due(made, steps, name):
  return [step for step in steps if getattr(made.at(step), name)]


def test_each_action_has_its_own_interval():
  every = {'eval_steps': 6, 'save_steps': 4, 'plot_steps': 3}
  for name, steps in {
      'evaluating': [6, 12],
      'saving': [4, 6, 8, 12],  # scores belong to a checkpoint
      'drawing': [3, 6, 9, 12],
      'stopping': [],
  }.items():
    assert due(make(Clock(), **every)[0], range(13), name) == steps


def test_a_resumed_run_does_not_save_the_loaded_step_again():
  made, _ = make(Clock(), start=8, eval_steps=4, save_steps=8)
  assert due(made, range(8, 17), 'saving') == [12, 16]


def test_nothing_happens_if_all_intervals_are_0():
  clock = Clock()
  made, _ = make(clock)
  clock.seconds = 1e9
  assert made.at(5) == triggers.Due(False, False, False, False)


def test_minutes_count_from_the_last_checkpoint():
  clock = Clock()
  made, _ = make(clock, save_steps=10, save_minutes=2.0)
  saved = []
  for step in range(1, 16):
    clock.seconds += 50
    if made.at(step).saving:
      saved.append(step)
  # After 150 s, twice more, at update 10, and 150 s after that.
  assert saved == [3, 6, 9, 10, 13]


def test_sigterm_saves_and_stops():
  made, stop = make(Clock(), save_steps=100)
  assert not made.at(1).stopping
  stop.received = True
  assert made.at(2) == triggers.Due(False, False, True, True)
