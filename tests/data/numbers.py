"""A source of numbers, for tests of the order of examples."""

from abaw_jax.data import protocol


class Numbers(protocol.Source):
  """Example i is {'number': i}."""

  def __init__(self, count: int):
    self._count = count

  def __len__(self):
    return self._count

  def __getitem__(self, index):
    return {'number': index}

  def where(self, index):
    return f'number {index}'

  def names(self, rows):
    return {'name': rows['row']}
