"""One image of a source, before it is read."""

from collections.abc import Callable, Iterator
import dataclasses
import pathlib
from typing import NamedTuple

from abaw_jax.data_builders import images, problems


class Entry(NamedTuple):
  """Where an image lies, and what its place in the source says about it.

  Attributes:
    name: where it comes from inside the source: a path, archive!member or
      pack[index].
    at: a key of stores.STORES and the arguments of that store.
    group: the person or folder it belongs to; '' if it stands alone.
    split: its split where the layout has splits of its own, else None.
    line: the list file that names it and the 1-based line, else None.
  """

  name: str
  at: tuple = ('file',)
  group: str = ''
  split: str | None = None
  line: tuple[str, int] | None = None

  def problem(self, reason: str) -> problems.Problem:
    """Returns what is wrong with it, told by line where a list names it."""
    if self.line is None:
      return problems.Problem(self.name, None, reason)
    return problems.Problem(*self.line, f'image {self.name}: {reason}')


@dataclasses.dataclass
class Ignored:
  """Counts what a source holds beside its images."""

  count: int = 0
  first: str = ''

  def add(self, name: str) -> None:
    """Counts one file."""
    self.first = self.first or name
    self.count += 1

  def notes(self) -> list[str]:
    """Returns a line for the user, or none."""
    if not self.count:
      return []
    noun = 'file that is' if self.count == 1 else 'files that are'
    return [
        f'{self.count:,} {noun} no image of this layout, such as {self.first}'
    ]


class Layout(NamedTuple):
  """How a source is laid out.

  Attributes:
    description: one line.
    entries: (source, ignored) -> its images, always in the same order, without
      reading a pixel. Raises InputError if the source has another layout.
    identities: its groups are people, who are held out as a whole.
  """

  description: str
  entries: Callable[[pathlib.Path, Ignored], Iterator[Entry]]
  identities: bool = False


def is_image(name: str) -> bool:
  """Returns whether a file's name is that of a visible image."""
  path = pathlib.PurePosixPath(name)
  return path.suffix.lower() in images.SUFFIXES and not path.name.startswith(
      '.'
  )


def folder(name: str) -> str:
  """Returns the folder of a path, '' at the top."""
  return name.rpartition('/')[0]


def with_group(found: Iterator[Entry], ignored: Ignored) -> Iterator[Entry]:
  """Yields the images that belong to somebody; counts the others."""
  for entry in found:
    if entry.group:
      yield entry
    else:
      ignored.add(f'{entry.name} (of nobody)')
