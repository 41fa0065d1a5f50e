"""One row of a list: a face and its labels."""

import pathlib
from typing import NamedTuple

from abaw_jax.core import labels
from abaw_jax.data_builders import problems, values

Box = tuple[float, float, float, float]  # left, top, width, height in pixels


class Row(NamedTuple):
  """A face and its labels; missing labels have the values of `core.labels`.

  Attributes:
    name: name of the image in the list.
    image: path of the image file, or the encoded image.
    row: position in the list, from 0, without the header.
    file: path of the list, relative to the source.
    line: 1-based line of the list; None if the list is a folder.
    label: class code of the dataset; -1 if it has no classes.
    expression: index into labels.EXPRESSIONS.
    valence: in [-1, 1].
    arousal: in [-1, 1].
    au: 0 or 1 in the order of labels.AU_NUMBERS.
    votes: number of annotators who chose each class; empty without votes.
    box: box of the face; None if the face fills the image.
    face: number of the face in its image, or in its video if it has one, from 0.
    person: name of the person; '' if unknown.
    video: name of the video; '' if unknown.
    frame: number of the frame in the video, or None.
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
  person: str = ''
  video: str = ''
  frame: int | None = None

  # True for usable labels.
  va = property(values.has_va)
  expr = property(values.has_expression)

  @property
  def group(self) -> str:
    """The person, recording or image: the first that is known is held out as a unit."""
    return self.person or labels.recording(self.video) or self.name

  @property
  def frame_id(self) -> int:
    """Number of the frame in its video, or of the face in its image or video."""
    return self.face if self.frame is None else self.frame

  @property
  def au_mask(self) -> tuple[bool, ...]:
    """True for each AU that is usable, independent of the other AUs."""
    return tuple(value != labels.AU_MISSING for value in self.au)

  @property
  def labelled(self) -> bool:
    """True if the row has at least one usable label."""
    return self.va or self.expr or any(self.au_mask) or bool(self.votes)

  def problem(self, reason: str) -> problems.Problem:
    """Returns a problem of its image, with the line of the list."""
    return problems.Problem(
        self.file, self.line, f'image {self.name}: {reason}'
    )


def relative_path(name: str) -> str:
  """Returns `name`; raises ValueError if this path leaves the source."""
  path = pathlib.PurePosixPath(name)
  if not name or path.is_absolute() or '..' in path.parts or '\0' in name:
    raise ValueError(f'image {name!r} is not a path inside the source')
  return name
