"""LoRA on disk: factors in the weights of a run, and folders of adapters.

`abaw-jax convert --adapter` writes such a folder: `adapter.safetensors` (the factors
and all parts but the backbone), `card.json` (path and checksum of the base weights),
and `config.json`, `data.json` and `untrained.json` of the run.
"""

from collections.abc import Callable, Mapping
import json
from typing import Any

import jax
import numpy as np

from abaw_jax.checkpoints import parameters, runs, stored_config
from abaw_jax.core import errors, files
from abaw_jax.distributed import sharding
from abaw_jax.models import zoo
from abaw_jax.models.layers import dense
from abaw_jax.tasks import registry

FILE = 'adapter.safetensors'

Tree = Mapping[str, Any]


def is_adapter(origin: files.Path) -> bool:
  """Returns whether `origin` is a folder of an adapter."""
  return (origin / FILE).is_file()


def read_card(origin: files.Path) -> dict[str, Any]:
  """Returns the card of an adapter; raises an InputError if it is broken."""
  path = origin / 'card.json'
  try:
    return stored_config.Section(path, 'card', json.loads(path.read_text()))
  except (OSError, ValueError, AttributeError) as e:
    raise errors.InputError(
        f'{path}: cannot be read ({e}); write the adapter again'
    ) from e


def without_factors(tree: Tree) -> dict[str, Any]:
  """Returns a nested dict of parameters or shapes without LoRA factors."""
  return {
      name: without_factors(node) if isinstance(node, dict) else node
      for name, node in tree.items()
      if name not in dense.LORA_FACTORS
  }


def only_factors(tree: Tree) -> dict[str, Any]:
  """Returns only the LoRA factors of a nested dict."""
  found = {
      name: only_factors(node) if isinstance(node, dict) else node
      for name, node in tree.items()
      if isinstance(node, dict) or name in dense.LORA_FACTORS
  }
  return {k: x for k, x in found.items() if not isinstance(x, dict) or x}


def with_factors(shapes: Tree, lora: dense.Lora, part: str) -> dict[str, Any]:
  """Returns shapes with those of LoRA factors, which every device holds.

  Args:
    shapes: nested dict of `jax.ShapeDtypeStruct`s with sharding, without factors.
    lora: of the backbone.
    part: top-level name of the backbone.
  """

  def add(name, node):
    if not isinstance(node, dict):
      return node
    node = {key: add(key, value) for key, value in node.items()}
    if name in lora.targets:
      node |= _factor_shapes(node['kernel'], lora.rank)
    return node

  # Not in the pooling, whose layers have the same names.
  adapted = {
      name: add(name, node)
      for name, node in shapes[part].items()
      if name == 'patch_embed' or name.startswith('blocks_')
  }
  return {**shapes, part: {**shapes[part], **adapted}}


def merged(tree: Tree, lora: dense.Lora) -> dict[str, Any]:
  """Returns parameters with kernels W + (alpha / rank) A B, and no factors.

  Products and sums are float64, and are rounded once, so that all devices get the
  same weights.
  """
  plain = {
      name: merged(node, lora) if isinstance(node, dict) else node
      for name, node in tree.items()
      if name not in dense.LORA_FACTORS
  }
  if dense.LORA_FACTORS[0] in tree:
    a, b = (np.asarray(tree[name], np.float64) for name in dense.LORA_FACTORS)
    plain['kernel'] = _plus(tree['kernel'], lora.scale * (a @ b))
  return plain


def joined(old: Tree, new: Tree) -> dict[str, Any]:
  """Returns the leaves of both nested dicts; those of `new` replace others."""
  both = {
      name: joined(old[name], new[name])
      for name in old.keys() & new.keys()
      if isinstance(old[name], dict)
  }
  return {**old, **new, **both}


def load(
    origin: files.Path,
    shapes: Tree,
    renames: Mapping[str, str] | None,
    load_backbone: Callable[..., tuple[Any, Any]],
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns parameters of an adapter and its base weights, and their origin.

  Args:
    origin: folder of the adapter.
    shapes: nested dict of the wanted `jax.ShapeDtypeStruct`s with sharding, with
      the factors of the adapter.
    renames: wanted top-level name -> name in the adapter; None = the same names.
    load_backbone: `weights.load_backbone`.

  Raises:
    InputError: the base weights are not there, or are other ones.
  """
  card, config = read_card(origin), runs.read_config(origin)
  backbone = registry.task_class(config).backbone
  own, base = dict(shapes), {}
  for name in shapes:
    if (renames or {}).get(name, name) == backbone:
      base[name] = _load_base(origin, card, shapes[name], load_backbone)
      own[name] = only_factors(shapes[name])
  params, _ = parameters.load_file(origin / FILE, card, own, renames)
  return joined(params, base), {'run': origin.name, 'step': card['step']}


def base_section(model: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the `model` section of the backbone without LoRA."""
  return zoo.without_lora(zoo.backbone_section(model))


def _load_base(origin, card, shapes, load_backbone):
  """Returns the base weights of an adapter."""
  base = files.path(card['base']['path'])
  advice = (
      f'give the right ones: abaw-jax convert --init_from={origin} --adapter '
      '--base=WEIGHTS --out=FOLDER'
  )
  if not runs.is_claimed(base):
    raise errors.InputError(
        f'{origin}: its base weights are not in {base}, as its card says; {advice}'
    )
  model = runs.read_config(origin)['model']
  wanted = {'backbone': without_factors(shapes)}
  params, _ = load_backbone(base, base_section(model), wanted)
  found = parameters.checksum(params)
  if found != card['base']['sha256']:
    raise errors.InputError(
        f'{origin}: {base} has other weights than those it was trained on (sha256 '
        f'{found[:8]}, not {card["base"]["sha256"][:8]}); {advice}'
    )
  return params['backbone']


def _factor_shapes(kernel, rank):
  """Returns the shapes of the factors of a kernel, on all of its devices."""
  place = kernel.sharding
  if isinstance(place, jax.sharding.NamedSharding):
    place = sharding.replicated(place.mesh)
  rows, columns = kernel.shape
  shapes = (rows, rank), (rank, columns)
  return {
      name: jax.ShapeDtypeStruct(shape, kernel.dtype, sharding=place)
      for name, shape in zip(dense.LORA_FACTORS, shapes, strict=True)
  }


def _plus(kernel, change):
  """Returns `kernel + change`, placed like `kernel`."""
  parts = {str(x.index): np.asarray(x.data) for x in kernel.addressable_shards}

  def add(index):
    total = parts[str(index)] + change[index]
    return total.astype(kernel.dtype)

  return jax.make_array_from_callback(kernel.shape, kernel.sharding, add)
