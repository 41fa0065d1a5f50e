r"""Compares our train steps with plain Flax, compiled for one TPU chip.

  python -m benchmarks.traffic --file=traffic.jsonl
  python -m benchmarks.traffic --file=traffic.jsonl --nocompile

Both sides have the same task, loss, images and precision (bfloat16, 224 pixels). Ours
is the step of the train command: it also skips updates with NaN. The twin is
`benchmarks/twins/flax_twins.py` with plain optax. Nothing runs, so no TPU is needed, but its
compiler is (pip install 'jax[tpu]'). Each program is compiled by a process of its own
(1 to 4 minutes on two idle cores), which adds a line to the file. Existing lines are
not compiled again, so you can interrupt the command.

Columns: GB of HBM traffic and GiB of temporaries of ours and of the twin, their
ratios, FLOPs that XLA counts, and the estimated time of a step.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import json
import os
import pathlib

from absl import flags

from abaw_jax.core import cli, text_table
from benchmarks import compilations

TASKS = ('frame', 'mae')
# Images of a step: as many as fit with 16 GB and without rematerialisation.
ROWS = {
    'frame': {'vit_b': 64, 'vit_l': 32, 'vit_h': 16},
    'mae': {'vit_b': 64, 'vit_l': 64, 'vit_h': 32},
}
LAYERS = ('unrolled', 'scan')
REMATS = ('none', 'dots', 'all')
CHIPS = {'v5e': '1x1', 'v6e': '1x1', 'v5p': '1x1x1'}
SIDES = ('ours', 'flax')

flags.DEFINE_string('file', None, 'JSONL file of results.', required=True)
flags.DEFINE_bool('compile', True, 'Whether to compile missing lines.')
flags.DEFINE_multi_enum('tasks', TASKS, TASKS, 'Tasks.')
flags.DEFINE_multi_enum('sizes', ['vit_l'], list(ROWS['mae']), 'Encoders.')
flags.DEFINE_multi_enum('layers', LAYERS, LAYERS, 'Loops over layers.')
flags.DEFINE_multi_enum('remats', ['none', 'all'], REMATS, 'Rematerialisation.')
flags.DEFINE_multi_enum('chips', ['v5e'], list(CHIPS), 'TPU generations.')
flags.DEFINE_string('case', None, 'Compile only this case; prints its line.')


@dataclasses.dataclass(frozen=True)
class Case:
  """One compiled step."""

  task: str
  size: str
  layers: str
  remat: str
  chip: str
  side: str

  @property
  def name(self) -> str:
    return ','.join(dataclasses.astuple(self))


def selected() -> Iterator[Case]:
  """Yields the cases of the flags; the two sides of a row are neighbors."""
  args = flags.FLAGS
  for chip, size, task, layers, remat, side in itertools.product(
      args.chips, args.sizes, args.tasks, args.layers, args.remats, SIDES
  ):
    yield Case(task, size, layers, remat, chip, side)


def make_config(case: Case) -> dict:
  """Returns the config of a case, without random augmentation."""
  from abaw_jax.configs import mae_tpu
  from benchmarks import cases

  model = {
      'image_size': 224,
      'patch_size': mae_tpu.PATCH_SIZES[case.size],
      'dtype': 'bfloat16',
      'remat': case.remat,
      'scan': case.layers == 'scan',
  }
  rows = ROWS[case.task][case.size]
  if case.task == 'mae':
    return cases.mae_config(rows, backbone=case.size, **model)
  return cases.frame_config(case.size, rows, **model)


def make_twin_step(task, mesh, example):
  """Returns (jitted step in plain Flax and optax, shapes of its state)."""
  import jax
  import jax.numpy as jnp
  import optax

  from abaw_jax.distributed import sharding
  from abaw_jax.steps import steps
  from benchmarks.twins import flax_twins

  if task.name == 'mae':
    model = flax_twins.MAE.like(task.model)
  else:
    model = task.model.clone(backbone=flax_twins.ViT(task.model.backbone))
  task = dataclasses.replace(task, model=model)
  section = task.config['optim']
  optimizer = optax.adamw(
      optax.warmup_cosine_decay_schedule(0.0, section['lr'], 1_000, 100_000),
      b1=section['b1'],
      b2=section['b2'],
      weight_decay=section['weight_decay'],
      mask=lambda params: jax.tree.map(lambda x: x.ndim > 1, params),
  )

  def init():
    params = task.init(jax.random.key(0), example)
    return steps.TrainState(jnp.int32(0), params, optimizer.init(params))

  def step(state, batch):
    key = jax.random.fold_in(jax.random.key(0), state.step)
    grads, metrics = jax.grad(task.loss, has_aux=True)(state.params, batch, key)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics |= {'grad_norm': optax.tree.norm(grads)}
    return steps.TrainState(state.step + 1, params, opt_state), metrics

  everywhere = sharding.replicated(mesh)
  shapes = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere),
      jax.eval_shape(init),
  )
  return jax.jit(step, donate_argnums=0), shapes


def compile_case(case: Case) -> dict:
  """Returns the line of a case."""
  os.environ['JAX_PLATFORMS'] = 'cpu'  # the compiler needs no device
  from abaw_jax.forecasting import forecast, report, topologies
  from abaw_jax.tasks import inputs, registry

  config = make_config(case)
  topology = topologies.make_topology(f'{case.chip}:{CHIPS[case.chip]}')
  result = forecast.make_forecast(
      config,
      topology,
      inputs.example_without_data(registry.make_task(config)),
      None if case.side == 'ours' else make_twin_step,
  )
  line = report.to_json(config, topology, result)
  if result.compiled is not None:
    costs = result.compiled.cost_analysis()
    line |= {
        'xla_flops': costs['flops'],
        'xla_bytes': costs['bytes accessed'],
    }
  return line


def table(results: dict[tuple[str, ...], dict]) -> Iterator[list[str]]:
  """Yields the column names, and a row for each compared step."""
  yield [
      'chip', 'task', 'encoder', 'images', 'layers', 'remat', 'GB of traffic',
      'Flax', 'ratio', 'GiB of temporaries', 'Flax', 'ratio', 'TFLOPs', 'Flax',
      'estimate', 'Flax',
  ]  # fmt: skip
  cases = list(selected())
  for ours, twin in zip(cases[::2], cases[1::2], strict=True):
    pair = [results.get((case.name,)) for case in (ours, twin)]
    if not all(pair):
      continue
    rows = ROWS[ours.task][ours.size]
    yield [
        ours.chip, ours.task, ours.size, f'{rows}', ours.layers, ours.remat,
        *_compared(pair, lambda line: line['hbm_traffic'] / 1e9, '.1f'),
        *_compared(pair, lambda line: line['memory']['temporaries'] / 2**30, '.2f'),
        *_compared(pair, lambda line: line['xla_flops'] / 1e12, '.1f')[:2],
        *(
            f'{1000 * line["estimate"]["step"]:.0f} ms' if line['fits'] else '-'
            for line in pair
        ),
    ]  # fmt: skip


def _compared(pair, value, digits: str) -> list[str]:
  """Returns ours, the twin's and their ratio; '-' if a step does not fit."""
  numbers = [value(line) if 'memory' in line else None for line in pair]
  texts = ['-' if x is None else f'{x:{digits}}' for x in numbers]
  ratio = '-' if None in numbers else f'{numbers[0] / numbers[1]:.2f}'
  return [*texts, ratio]


def main() -> None:
  """Compiles missing lines, and prints the table."""
  args = flags.FLAGS
  if args.case:
    print(json.dumps(compile_case(Case(*args.case.split(',')))))
    return
  path = pathlib.Path(args.file)
  if args.compile:
    for case in selected():
      compilations.compile_one(
          path,
          (case.name,),
          ('benchmarks.traffic', f'--case={case.name}', f'--file={path}'),
      )
  rows = list(table(compilations.read(path)))
  print('\n'.join(text_table.markdown(rows)))


if __name__ == '__main__':
  cli.run(main, __doc__)
