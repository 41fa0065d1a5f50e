"""The layouts of labelled single faces that can be rendered."""

from collections.abc import Callable, Iterator, Mapping
import pathlib
from typing import NamedTuple

from abaw_jax.data_builders.procedural.layouts import (
    affectnet,
    emotionet,
    fer_plus,
    identities,
    raf_db,
    sample,
)


class Layout(NamedTuple):
  """How rendered faces are written.

  Attributes:
    write: (out, split, faces of one person) -> the lines of their lists.
    write_lists: (out, lines by split), when all faces are written.
    splits: split of the plan -> split of the layout.
    folders: of its images below `out`.
    videos: people that are rendered if nobody says how many.
    frames: faces of each, on average.
  """

  write: Callable[[pathlib.Path, str, Iterator[sample.Face]], list[str]]
  write_lists: Callable[[pathlib.Path, Mapping[str, list[str]]], None]
  splits: dict[str, str]
  folders: tuple[str, ...] = ()
  videos: int = 48
  frames: int = 30


_ALL = {'train': 'all', 'validation': 'all', 'test': 'all'}
_TWO = {'train': 'train', 'validation': 'validation', 'test': 'validation'}

LAYOUTS = {
    'affectnet_2017': Layout(
        affectnet.manual, affectnet.write_lists, _TWO, affectnet.FOLDERS
    ),
    'affectnet_2021': Layout(
        affectnet.release, affectnet.no_lists, _TWO, affectnet.FOLDERS
    ),
    'fer_plus': Layout(
        fer_plus.write,
        fer_plus.write_lists,
        {'train': 'train', 'validation': 'validation', 'test': 'test'},
    ),
    'raf_db': Layout(
        raf_db.write,
        raf_db.write_lists,
        {'train': 'train', 'validation': 'test', 'test': 'test'},
        (raf_db.FOLDER,),
    ),
    'emotionet': Layout(
        emotionet.write, emotionet.write_lists, _ALL, (emotionet.FOLDER,)
    ),
    'identities': Layout(
        identities.write,
        affectnet.no_lists,
        _ALL,
        (identities.FOLDER,),
        videos=120,
        frames=12,
    ),
}
