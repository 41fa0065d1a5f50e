r"""Imports features and labels from HDF5 files in the layout of AIM3-RUC.

  abaw-jax import_features --features=features/densenet.h5 \
      --targets=train=trn_target.h5 --targets=validation=val_target.h5 \
      --partition=partition.h5 --data_dir=DATA_DIR --name=densenet

The features become the dataset DATA_DIR/s_aff_wild2_features/densenet. Train on
them with `--config=mtl --config.data.features=densenet`. The files have no frame
numbers, so frames are numbered from 0 in each video. These features can only be
combined with other features from the same files. The mean_std_on_trn files are not
needed: `--config.data.norm=train` measures the same values.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli, errors, files

flags.DEFINE_string(
    'features', None, 'File with the features of all videos.', required=True
)
flags.DEFINE_multi_string(
    'targets',
    None,
    'File with labels: train=FILE or validation=FILE. Repeat the flag for each.',
    required=True,
)
flags.DEFINE_string(
    'partition',
    None,
    'File with the names of the test videos, if there are any.',
)
flags.DEFINE_string(
    'data_dir', None, 'Folder of all built datasets.', required=True
)
flags.DEFINE_string('dataset', 's_aff_wild2', 'Dataset of the frames.')
flags.DEFINE_string('name', None, 'Name of the features.', required=True)
flags.DEFINE_enum(
    'au_labels',
    'rows',
    ['rows', 'entries'],  # aim3_labels.AU_LABELS
    'Frames with a missing AU: use none of their AUs, as the rules of the '
    'challenge say (rows), or the others, as the loss of AIM3 does (entries).',
)
flags.DEFINE_bool('overwrite', False, 'Replace features with this name.')

SPLITS = ('train', 'validation')


def main() -> None:
  """Imports the features."""
  from abaw_jax.sequences import aim3_files

  partition = flags.FLAGS.partition
  written = aim3_files.write(
      files.local_path(flags.FLAGS.features, '--features'),
      targets=_targets(flags.FLAGS.targets),
      partition=partition and files.local_path(partition, '--partition'),
      data_dir=flags.FLAGS.data_dir,
      dataset=flags.FLAGS.dataset,
      name=flags.FLAGS.name,
      overwrite=flags.FLAGS.overwrite,
      au_labels=flags.FLAGS.au_labels,
  )
  for split, (num_videos, num_frames) in written.items():
    print(f'{split}: {num_videos:,} videos, {num_frames:,} frames')


def _targets(listed: list[str]) -> dict[str, pathlib.Path]:
  """Returns the file of each split."""
  targets = {}
  for item in listed:
    split, _, path = item.partition('=')
    if split not in SPLITS or not path or split in targets:
      raise errors.InputError(
          f'--targets={item}: does not name one file for one split; give '
          '--targets=train=FILE and --targets=validation=FILE'
      )
    targets[split] = files.local_path(path, '--targets')
  return targets


if __name__ == '__main__':
  cli.run(main, __doc__)
