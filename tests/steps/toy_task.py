"""The base class of small tasks in tests."""

from abaw_jax.tasks import task


class ToyTask(task.Task):
  """A task without dataset and scores; subclasses define init, loss, predict."""

  score, best, unit = 'loss', 'min', 'points'
  config, model = {}, None
  from_config = source = transform = scores = None

  def __init__(self):
    """Needs neither config nor model."""
