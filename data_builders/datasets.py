"""The table of datasets.

A new dataset takes a folder with its builder class and one entry here. The
class defines its source layouts (LAYOUTS), its options with their defaults
(OPTIONS), `build` and `report`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Dataset(NamedTuple):
  """One dataset.

  Attributes:
    load: returns the builder class. It imports the class when it is called, so
      that --help does not import TFDS.
    rendered: builder config -> the layout of `abaw-jax render` that this config
      reads. Empty if no faces can be rendered for the dataset.
  """

  load: Callable[[], Any]
  rendered: Mapping[str, str] = {}


def _s_aff_wild2() -> Any:
  from abaw_jax.data_builders.s_aff_wild2 import s_aff_wild2_dataset_builder

  return s_aff_wild2_dataset_builder.Builder


def _affectnet() -> Any:
  from abaw_jax.data_builders.affectnet import affectnet_dataset_builder

  return affectnet_dataset_builder.Builder


def _fer_plus() -> Any:
  from abaw_jax.data_builders.fer_plus import fer_plus_dataset_builder

  return fer_plus_dataset_builder.Builder


def _raf_db() -> Any:
  from abaw_jax.data_builders.raf_db import raf_db_dataset_builder

  return raf_db_dataset_builder.Builder


def _lsd() -> Any:
  from abaw_jax.data_builders.lsd import lsd_dataset_builder

  return lsd_dataset_builder.Builder


def _emotionet() -> Any:
  from abaw_jax.data_builders.emotionet import emotionet_dataset_builder

  return emotionet_dataset_builder.Builder


def _labelled_folder() -> Any:
  from abaw_jax.data_builders.labelled_folder import (
      labelled_folder_dataset_builder,
  )

  return labelled_folder_dataset_builder.Builder


def _face_images() -> Any:
  from abaw_jax.data_builders.face_images import face_images_dataset_builder

  return face_images_dataset_builder.Builder


def _identities() -> Any:
  from abaw_jax.data_builders.identities import identities_dataset_builder

  return identities_dataset_builder.Builder


VIDEO_LAYOUT = 's_aff_wild2'  # the only rendered layout of videos
DATASETS = {
    's_aff_wild2': Dataset(
        _s_aff_wild2, {'sequences': VIDEO_LAYOUT, 'frames': VIDEO_LAYOUT}
    ),
    'affectnet': Dataset(
        _affectnet,
        {'manual_2017': 'affectnet_2017', 'release_2021': 'affectnet_2021'},
    ),
    'fer_plus': Dataset(_fer_plus, {'frames': 'fer_plus'}),
    'raf_db': Dataset(_raf_db, {'frames': 'raf_db', 'published': 'raf_db'}),
    'lsd': Dataset(_lsd, {'frames': 'lsd'}),
    'emotionet': Dataset(_emotionet, {'frames': 'emotionet'}),
    'labelled_folder': Dataset(_labelled_folder),
    'face_images': Dataset(_face_images),
    'identities': Dataset(_identities, {'folders': 'identities'}),
}
# Layouts that `abaw-jax render` writes.
RENDERED_LAYOUTS = tuple(
    dict.fromkeys(
        layout
        for dataset in DATASETS.values()
        for layout in dataset.rendered.values()
    )
)
