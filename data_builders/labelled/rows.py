"""One labelled face of a dataset of single images, as its list has it."""

import pathlib
from typing import NamedTuple

from abaw_jax.core import labels
from abaw_jax.data_builders import problems

Box = tuple[float, float, float, float]  # left, top, width, height in pixels


class Row(NamedTuple):
  """A face and its labels; the sentinels of `abaw_jax.labels` where it has none.

  Attributes:
    name: its image, as the list calls it.
    image: where that is: a file, or the encoded image itself.
    row: position in the list, from 0, a header not counted.
    file: the list, relative to the source.
    line: 1-based line of the list; None where the list is a folder.
    label: class code of the dataset itself; -1 where it has none.
    expression: index into labels.EXPRESSIONS.
    valence: in [-1, 1].
    arousal: in [-1, 1].
    au: 0 or 1 in the order of labels.AU_NUMBERS.
    votes: how many annotators chose each class, where the dataset says so.
    box: the face in the image; None where it fills it.
    face: position among the rows of this image.
  """

  name: str
  image: pathlib.Path | bytes
  row: int
  file: str
  line: int | None = None
  label: int = -1
  expression: int = labels.EXPRESSION_MISSING
  valence: float = labels.VA_MISSING
  arousal: float = labels.VA_MISSING
  au: tuple[int, ...] = (labels.AU_MISSING,) * labels.NUM_AUS
  votes: tuple[int, ...] = ()
  box: Box | None = None
  face: int = 0

  @property
  def va(self) -> bool:
    """True if valence and arousal may be used: both are given."""
    return labels.VA_MISSING not in (self.valence, self.arousal)

  @property
  def expr(self) -> bool:
    """True if the expression may be used."""
    return self.expression != labels.EXPRESSION_MISSING

  @property
  def au_mask(self) -> tuple[bool, ...]:
    """True for each AU that may be used, whatever the others are."""
    return tuple(value != labels.AU_MISSING for value in self.au)

  @property
  def labelled(self) -> bool:
    """True if there is anything to learn from it."""
    return self.va or self.expr or any(self.au_mask) or bool(self.votes)

  def problem(self, reason: str) -> problems.Problem:
    """Returns what is wrong with its image, told by its line in the list."""
    return problems.Problem(
        self.file, self.line, f'image {self.name}: {reason}'
    )


def inside(name: str) -> str:
  """Returns a path of a list; raises ValueError if it leaves the source."""
  path = pathlib.PurePosixPath(name)
  if not name or path.is_absolute() or '..' in path.parts:
    raise ValueError(f'image {name!r} is no path below the source')
  return name
