"""Writes the LoRA of a run as a folder that has no base weights."""

from collections.abc import Mapping
from typing import Any

import jax

from abaw_jax.checkpoints import adapters, parameters, runs, weights
from abaw_jax.conversion import convert
from abaw_jax.core import errors, files
from abaw_jax.distributed import sharding
from abaw_jax.models import zoo
from abaw_jax.tasks import inputs, registry


def write_adapter(
    init_from: files.Path, out: files.Path, *, base: files.Path | None = None
) -> list[str]:
  """Writes the LoRA factors, and all parts but the backbone; returns a report.

  Args:
    init_from: workdir of a run with LoRA, or folder of an adapter.
    out: folder to write.
    base: base weights, the workdir of a run or a folder of weights; None means the
      `init_from` of the run, or the base of the adapter.

  Raises:
    InputError: there is no LoRA or no base, the base has other weights, or `out` has
      other content.
  """
  config = runs.read_config(init_from)
  lora = zoo.lora_of(config['model'])
  if not lora:
    raise errors.InputError(
        f'--adapter: {init_from} was trained without LoRA (config.model.lora_rank); '
        'leave out --adapter, and give a file as --out'
    )
  base = base or _base(init_from)
  task = registry.make_task(config)
  shapes = jax.eval_shape(
      task.init, jax.random.key(0), inputs.example_without_data(task)
  )
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  shapes = sharding.with_shardings(
      shapes, jax.tree.map(lambda _: place, shapes)
  )
  checksum = _checksum(base, shapes[task.backbone], config['model'])
  own, wanted, step = _read(init_from, shapes, task.backbone, config['model'])
  if checksum != wanted:
    raise errors.InputError(
        f'{base}: has other weights than those that {init_from} was trained on; '
        'give these as --base'
    )
  tensors = convert.flat(jax.device_get(own))
  count = sum(x.size for x in tensors.values())
  card = {
      'kind': 'LoRA adapter',
      'run': files.absolute(init_from).name,
      'step': step,
      'base': {'path': str(files.absolute(base)), 'sha256': checksum},
      'rank': lora.rank,
      'alpha': lora.alpha,
      'targets': lora.targets,
      'parameters': count,
  }
  written = weights.write_folder(
      out,
      tensors,
      config,
      card,
      name=adapters.FILE,
      others={
          'data.json': runs.read_data(init_from),
          'untrained.json': runs.read_untrained(init_from),
      },
  )
  return [
      f'{init_from}: rank {lora.rank}, alpha {lora.alpha:g}, layers '
      f'{", ".join(lora.targets)}',
      f'base: {base} (sha256 {checksum[:8]})',
      f'{out}: {count:,} parameters, {4e-6 * count:.3g} MB, '
      f'{"written" if written else "are in the folder already"}',
  ]


def _base(init_from: files.Path) -> files.Path:
  """Returns the base weights of a run or of an adapter."""
  config = runs.read_config(init_from)
  path = config['init_from']
  if adapters.is_adapter(init_from):
    path = adapters.read_card(init_from)['base']['path']
  if not path:
    raise errors.InputError(
        f'{init_from}: its base weights are random (config.init_from is empty), so '
        'an adapter would be useless alone; train with --config.init_from, or use '
        'the run itself'
    )
  origin = files.path(path)
  if runs.is_claimed(origin):
    before = runs.read_config(origin)['model']
    if zoo.lora_of(before) == zoo.lora_of(config['model']):
      return _base(origin)  # the run continued its factors
  return origin


def _checksum(base: files.Path, shapes: Any, model: Mapping[str, Any]) -> str:
  """Returns the checksum of base weights; `shapes` are those of the backbone."""
  wanted = {'backbone': adapters.without_factors(shapes)}
  params, _ = weights.load_backbone(base, adapters.base_section(model), wanted)
  return parameters.checksum(params)


def _read(
    init_from: files.Path, shapes: Any, part: str, model: Mapping[str, Any]
) -> tuple[Any, str, int]:
  """Returns (all that an adapter has, checksum of its base weights, step)."""
  if adapters.is_adapter(init_from):  # its base may be gone
    card = adapters.read_card(init_from)
    shapes = shapes | {part: adapters.only_factors(shapes[part])}
    own, _ = parameters.load_file(init_from / adapters.FILE, card, shapes)
    return own, card['base']['sha256'], card['step']
  params, origin = weights.load(init_from, model, shapes)
  frozen = adapters.without_factors(params[part])
  own = params | {part: adapters.only_factors(params[part])}
  return own, parameters.checksum(frozen), origin['step']
