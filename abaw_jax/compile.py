r"""Compiles a train step for a TPU slice, without a TPU, and tells if it fits.

  python -m abaw_jax.compile --config=configs/mae.py:vit_l --topology=v5e:16x16
  python -m abaw_jax.compile --config=configs/mae_tpu.py:vit_h_v5p_256 \
      --topology=v5p:4x4x8 --num_slices=2

The step is the one that abaw_jax.train would run there; no dataset is needed.
Prints a table and a line of JSON: bytes of each chip, what the chips exchange,
and an estimate of the speed. Needs the TPU compiler: pip install 'jax[tpu]'.

Exit status: 0 the step fits, 1 it does not (the table says what to try), 2 the
input is wrong.
"""

import json
import os

from absl import flags

from abaw_jax.core import cli

cli.define_config()
flags.DEFINE_string(
    'topology',
    None,
    'Slice: generation and chips along each axis, such as v5e:16x16.',
    required=True,
)
flags.DEFINE_integer(
    'num_slices', 1, 'Slices, which exchange over DCN.', lower_bound=1
)
flags.DEFINE_integer(
    'feature_dim',
    0,
    'Width of the features that a temporal model reads, without a dataset.',
    lower_bound=0,
)


def main() -> int:
  """Compiles, prints, and returns the exit status."""
  # A TPU or GPU that is there has no part in this.
  os.environ['JAX_PLATFORMS'] = 'cpu'
  from abaw_jax.forecasting import example, forecast, report, topologies

  config = flags.FLAGS.config.to_dict()
  topology = topologies.make(
      flags.FLAGS.topology, num_slices=flags.FLAGS.num_slices
  )
  made = forecast.make_forecast(
      config,
      topology,
      example.make_example(config, feature_dim=flags.FLAGS.feature_dim),
  )
  print(report.table(config, topology, made))
  print(json.dumps(report.record(config, topology, made)))
  return 0 if made.fits else 1


if __name__ == '__main__':
  cli.run(main, __doc__)
