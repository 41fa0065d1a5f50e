r"""Extracts one feature vector per frame, with the backbone of a trained run.

  abaw-jax extract --init_from=runs/frame --data=DATA_DIR/s_aff_wild2 \
      --name=frame_vit
  abaw-jax extract --init_from=runs/mtl

The features become the dataset DATA_DIR/s_aff_wild2_features/frame_vit. Train on
them with `--config=mtl --config.data.features=frame_vit`. The file card.json next
to them describes the weights and the preprocessing.

A network of converted video weights (VideoMAE, MARLIN) reads windows of frames; --hop,
--sampling_rate, --max_gap and --span choose them (docs/weights.md).

The features of a temporal run, the second command, are the hidden states of its tasks.
They stay in the folder of the run: `--config.data.features=small,runs/mtl` trains on
the features `small` and on them.
"""

from absl import flags

from abaw_jax.core import cli, errors

flags.DEFINE_string(
    'init_from',
    None,
    'Workdir of a MAE, frame or temporal run, or folder of weights.',
    required=True,
)
flags.DEFINE_string(
    'data',
    None,
    'Built dataset: DATA_DIR/NAME, with the --data_dir of the build. For a '
    'temporal run the default is its own dataset.',
)
flags.DEFINE_string(
    'name', None, 'Name of the features; a temporal run has none.'
)
flags.DEFINE_bool('overwrite', False, 'Replace features with this name.')
flags.DEFINE_enum(
    'output',
    'embedding',
    ['embedding', 'logits', 'both'],
    'Features: the embedding of the backbone, the logits of the heads or the '
    'classifier, or both.',
)
flags.DEFINE_enum(
    'pool',
    '',
    ['', 'mean', 'mean_norm', 'cls'],
    'How to pool the tokens of a ViT; default: as in training, or as its project '
    'does.',
)
flags.DEFINE_enum(
    'crops',
    '1',
    ['1', '2', '5', '10'],
    'Test-time augmentation, averaged over: the image (1); also its mirror image '
    '(2); five crops (5); five crops and their mirror images (10).',
)
flags.DEFINE_integer(
    'batch_size',
    256,
    'Images per step, over all devices; of a video network, the frames of all windows.',
    lower_bound=1,
)
flags.DEFINE_integer(
    'hop',
    None,
    'Video networks: frames from the start of a window to that of the next one; '
    'default: half a window.',
    lower_bound=1,
)
flags.DEFINE_integer(
    'sampling_rate',
    None,
    'Video networks: frames from one frame of a window to the next; default: 1.',
    lower_bound=1,
)
flags.DEFINE_integer(
    'max_gap',
    None,
    'Video networks: windows do not cross a step of more than this in the frame '
    'numbers; default: they cross all.',
    lower_bound=1,
)
flags.DEFINE_enum(
    'span',
    None,
    ['tubelet', 'window'],
    'Video networks: features are the mean over the patches of the tubelet of the '
    'frame (the default), or over those of its window.',
)
cli.define_processes()


def main() -> None:
  """Extracts the features."""
  from abaw_jax.distributed import processes
  from abaw_jax.inference import extraction, hidden_states

  data, init_from = cli.path('data'), cli.path('init_from')
  windows = ('hop', 'sampling_rate', 'max_gap', 'span')
  is_temporal = hidden_states.is_temporal(init_from)
  if is_temporal:
    images = ('name', 'output', 'pool', 'crops', 'batch_size')
    _check(init_from, (*images, *windows), False)
  else:
    _check(init_from, ('data', 'name'), True)
  with processes.joined(**cli.processes()):
    if is_temporal:
      hidden_states.extract(
          init_from, data=data, overwrite=flags.FLAGS.overwrite
      )
      return
    extraction.extract(
        init_from=init_from,
        data_dir=data.parent,
        dataset=data.name,
        name=flags.FLAGS.name,
        batch_size=flags.FLAGS.batch_size,
        output=flags.FLAGS.output,
        pool=flags.FLAGS.pool,
        crops=int(flags.FLAGS.crops),
        windows={name: flags.FLAGS[name].value for name in windows},
        overwrite=flags.FLAGS.overwrite,
    )


def _check(init_from, names, wanted: bool) -> None:
  """Raises an InputError for the first flag that is missing, or too much."""
  for name in names:
    if bool(flags.FLAGS[name].present) != wanted:
      raise errors.InputError(
          f'--{name} is missing; --help lists the flags'
          if wanted
          else f'--{name}: {init_from} is a temporal run, whose hidden states have '
          'no such option; leave it out'
      )


if __name__ == '__main__':
  cli.run(main, __doc__)
