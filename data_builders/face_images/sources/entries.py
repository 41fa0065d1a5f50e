"""An image of a source, before it is read."""

from collections.abc import Callable, Iterator
import dataclasses
import pathlib
from typing import NamedTuple

from abaw_jax.data_builders import images, problems


class Entry(NamedTuple):
  """The place of an image in the source, with its group and split.

  Attributes:
    name: name in the source: a path, archive!member or pack[index].
    at: a key of stores.STORES, 'file' or 'broken', then its arguments.
    group: the person or folder of the image; '' if it has no group.
    split: its split if the source has splits, else None.
    line: the list file that names the image and the 1-based line, else None.
  """

  name: str
  at: tuple = ('file',)
  group: str = ''
  split: str | None = None
  line: tuple[str, int] | None = None

  def problem(self, reason: str) -> problems.Problem:
    """Returns a problem of the image, with the line of the list if there is one."""
    if self.line is None:
      return problems.Problem(self.name, None, reason)
    return problems.Problem(*self.line, f'image {self.name}: {reason}')


@dataclasses.dataclass
class Ignored:
  """Counts the files of a source that are not images of its layout."""

  count: int = 0
  first: str = ''

  def add(self, name: str) -> None:
    """Counts one file."""
    self.first = self.first or name
    self.count += 1

  def notes(self) -> list[str]:
    """Returns a note for the user in a list, or an empty list."""
    if not self.count:
      return []
    noun = 'file that is' if self.count == 1 else 'files that are'
    return [
        f'{self.count:,} {noun} not used in this layout, such as {self.first}'
    ]


class Layout(NamedTuple):
  """The layout of a source folder.

  Attributes:
    description: one line.
    entries: (source, ignored) -> the images, always in the same order, without
      decoding them. Raises InputError if the source has another layout.
    identities: the groups are people; all images of a person are held out
      together.
  """

  description: str
  entries: Callable[[pathlib.Path, Ignored], Iterator[Entry]]
  identities: bool = False


def is_image(name: str) -> bool:
  """Returns whether a name is that of an image that is not hidden."""
  path = pathlib.PurePosixPath(name)
  return path.suffix.lower() in images.SUFFIXES and not path.name.startswith(
      '.'
  )


def folder(name: str) -> str:
  """Returns the folder of a path; '' without a folder."""
  return name.rpartition('/')[0]


def with_group(found: Iterator[Entry], ignored: Ignored) -> Iterator[Entry]:
  """Yields the images that have a group; counts the others."""
  for entry in found:
    if entry.group:
      yield entry
    else:
      ignored.add(f'{entry.name} (no person)')
