"""The layouts of a source: one builder config each."""

from collections.abc import Mapping
import os
import pathlib

from abaw_jax.core import errors
from abaw_jax.data_builders import choices
from abaw_jax.data_builders.face_images.sources import (
    archives,
    entries,
    lists,
    ms_celeb,
    recordio,
    trees,
)

LAYOUTS = {
    'folders': entries.Layout(
        'Images in folders, nested at any depth.', trees.folders
    ),
    'list': entries.Layout(
        'Images named by list.txt, one path per line.', lists.listed
    ),
    'tar': entries.Layout(
        'Images in tar archives, plain or compressed.', archives.tar
    ),
    'recordio': entries.Layout(
        'InsightFace packs: train.rec and train.idx.',
        recordio.insightface,
        identities=True,
    ),
    'celeba': entries.Layout(
        'CelebA: img_align_celeba and list_eval_partition.txt.', lists.celeba
    ),
    'c_ms_celeb': entries.Layout(
        'C-MS-Celeb: its two lists over the images of MS-Celeb-1M.',
        ms_celeb.c_ms_celeb,
        identities=True,
    ),
    'emotionet': entries.Layout(
        'EmotioNet: N_<digits>_<digits>.jpg and optional CSV lists.',
        lists.emotionet,
    ),
    'vggface2': entries.Layout(
        'VGGFace2: train and test folders of identities.',
        trees.vggface2,
        identities=True,
    ),
}


# Those whose groups are people; a folder is one where nothing else is said.
OF_PEOPLE = {
    'folders': LAYOUTS['folders']._replace(
        description='A folder of images for each person.', identities=True
    )
} | {name: layout for name, layout in LAYOUTS.items() if layout.identities}


def open_source(source_dir: str | os.PathLike[str]) -> pathlib.Path:
  """Returns the absolute path of a source folder, if it is one."""
  source = pathlib.Path(source_dir).absolute()
  if not source.is_dir():
    raise errors.InputError(
        f'{source_dir}: no such folder; set --source_dir to the folder of the'
        ' images'
    )
  return source


def named(
    config: str | None, layouts: Mapping[str, entries.Layout]
) -> entries.Layout:
  """Returns the layout of a config; raises InputError if there is none."""
  if not config:
    raise errors.InputError(
        'a source has one of several layouts; name it by one --config:'
        f' {", ".join(layouts)}'
    )
  return choices.choose('--config', config, layouts)
