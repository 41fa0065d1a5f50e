"""The layouts of single faces that can be rendered."""

from collections.abc import Callable, Iterator, Mapping
import pathlib
from typing import NamedTuple

from abaw_jax.data_builders.procedural.layouts import (
    affectnet,
    emotionet,
    fer_plus,
    identities,
    lsd,
    raf_db,
    sample,
)
from abaw_jax.data_builders.procedural.rendering import video_plan


class Layout(NamedTuple):
  """Writers and defaults of a layout.

  Attributes:
    write: (out, split, faces of one person) -> lines for the lists; writes the
      images.
    write_lists: (out, lines by split); called after all faces are written.
    splits: split of the plan -> split of the layout.
    folders: folders of the images in `out`.
    videos: default number of videos, one person each in the photo domain.
    frames: default mean number of faces per video.
    domains: default domain of each split of the plan.
    basic: whether faces show only the six basic expressions, with the class priors
      of the LSD challenge.
  """

  write: Callable[[pathlib.Path, str, Iterator[sample.Face]], list[str]]
  write_lists: Callable[[pathlib.Path, Mapping[str, list[str]]], None]
  splits: dict[str, str]
  folders: tuple[str, ...] = ()
  videos: int = 48
  frames: int = 30
  domains: dict[str, str] = video_plan.in_domain('photo')
  basic: bool = False


_ALL = {'train': 'all', 'validation': 'all', 'test': 'all'}
_THREE = {split: split for split in _ALL}
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
        _THREE,
    ),
    'raf_db': Layout(
        raf_db.write,
        raf_db.write_lists,
        {'train': 'train', 'validation': 'test', 'test': 'test'},
        (raf_db.FOLDER,),
    ),
    'lsd': Layout(
        lsd.write,
        lsd.write_lists,
        _THREE,
        lsd.FOLDERS,
        domains={**video_plan.in_domain('photo'), 'train': 'synthetic'},
        basic=True,
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
