r"""Compiles a train step for a TPU slice, without a TPU, and shows if it fits.

  abaw-jax compile --config=mae:vit_l --topology=v5e:16x16
  abaw-jax compile --config=mae_tpu:vit_h_v5p_256 --topology=v5p:4x4x8 \
      --num_slices=2

This is the step that `abaw-jax train` runs there; no dataset is needed. Prints a
table and a line of JSON: memory of each chip, traffic between chips, and an
estimate of the speed. Needs the TPU compiler: pip install 'abaw_jax[tpu]'.

Exit status: 0 if the step fits, 1 if it does not (the table suggests a fix), 2 if
the input is wrong.
"""

import json
import os

from absl import flags

from abaw_jax.core import cli

cli.define_config()
flags.DEFINE_string(
    'topology',
    None,
    'TPU generation and number of chips along each axis, such as v5e:16x16.',
    required=True,
)
flags.DEFINE_integer(
    'num_slices', 1, 'Number of slices, connected by DCN.', lower_bound=1
)
flags.DEFINE_integer(
    'feature_dim',
    0,
    'Width of the features of a temporal model, if there is no dataset.',
    lower_bound=0,
)


def main() -> int:
  """Compiles the step, prints the forecast, and returns the exit status."""
  # The compiler needs no device: leave a TPU or GPU to other processes.
  os.environ['JAX_PLATFORMS'] = 'cpu'
  from abaw_jax.forecasting import forecast, report, topologies
  from abaw_jax.tasks import inputs, registry

  config = flags.FLAGS.config.to_dict()
  topology = topologies.make_topology(
      flags.FLAGS.topology, num_slices=flags.FLAGS.num_slices
  )
  result = forecast.make_forecast(
      config,
      topology,
      inputs.example_without_data(
          registry.make_task(config), feature_dim=flags.FLAGS.feature_dim
      ),
  )
  print('\n'.join(report.to_table(config, topology, result)))
  print(json.dumps(report.to_json(config, topology, result)))
  return 0 if result.fits else 1


if __name__ == '__main__':
  cli.run(main, __doc__)
