r"""Writes one feature vector per frame, with the backbone of a trained run.

  python -m abaw_jax.extract --init_from=runs/frame \
      --data=DATA_DIR/s_aff_wild2 --name=frame_vit

The features become the dataset DATA_DIR/s_aff_wild2_features/frame_vit, which
`--config=configs/mtl.py --config.data.features=frame_vit` trains on. A card.json
beside them says which weights and which preprocessing they come from.
"""

import pathlib

from absl import flags

from abaw_jax.core import cli

flags.DEFINE_string(
    'init_from', None, 'Workdir of a MAE or frame run.', required=True
)
flags.DEFINE_string(
    'data',
    None,
    'Built dataset: the --data_dir of the build, a slash, and its name.',
    required=True,
)
flags.DEFINE_string('name', None, 'Name of the features.', required=True)
flags.DEFINE_enum(
    'output',
    'embedding',
    ['embedding', 'logits', 'both'],
    "What the features are: the backbone's embedding, what the heads or the "
    'classifier say of it, or both.',
)
flags.DEFINE_enum(
    'pool',
    '',
    ['', 'mean', 'mean_norm', 'cls'],
    "How a ViT's tokens become an embedding; as it was trained if not given.",
)
flags.DEFINE_enum(
    'crops',
    '1',
    ['1', '2', '5', '10'],
    'Views of an image that are averaged: itself; with its mirror image; five '
    'crops; with their mirror images.',
)
flags.DEFINE_integer(
    'batch_size', 256, 'Images per step, over all devices.', lower_bound=1
)
cli.define_processes()


def main() -> None:
  """Extracts the features."""
  from abaw_jax.distributed import processes
  from abaw_jax.inference import extraction

  data = pathlib.Path(flags.FLAGS.data)
  with processes.joined(**cli.processes()):
    extraction.extract(
        init_from=pathlib.Path(flags.FLAGS.init_from),
        data_dir=data.parent,
        dataset=data.name,
        name=flags.FLAGS.name,
        batch_size=flags.FLAGS.batch_size,
        output=flags.FLAGS.output,
        pool=flags.FLAGS.pool,
        crops=int(flags.FLAGS.crops),
    )


if __name__ == '__main__':
  cli.run(main, __doc__)
