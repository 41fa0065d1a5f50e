"""Folders of converted weights, and the report of a conversion."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np

from abaw_jax.checkpoints import weights
from abaw_jax.core import errors, files
from abaw_jax.models import super_resolution_zoo, zoo
from abaw_jax.porting import weight_files
from abaw_jax.porting.layouts import state_dicts
from abaw_jax.tasks import registry


def report(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """Returns the report on tensors that all have their place."""
  return {
      'mapped': len(tensors),
      'missing': [],
      'extra': [],
      'misshapen': [],
      'dtypes': _dtype_changes(tensors),
  }


def left_out(
    stored: state_dicts.Tensors, used: state_dicts.Tensors
) -> dict[str, str]:
  """Returns the report on tensors of a file that no feature depends on.

  Args:
    stored: tensors of the file.
    used: the same arrays with other names, without those that are left out.
  """
  kept = set(map(id, used.values()))
  names = [name for name, x in stored.items() if id(x) not in kept]
  if not names:
    return {}
  parts = sorted(
      {x.removesuffix('.weight').removesuffix('.bias') for x in names}
  )
  return {
      'left_out': f'{len(names)} tensors without effect: {errors.few(parts)}'
  }


def write(
    out: files.Path,
    params: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    layout: state_dicts.Layout,
    checkpoint: files.Path,
    *,
    report: Mapping[str, Any],
    **card: Any,
) -> list[str]:
  """Writes a folder of weights with `card` in its card; returns a report."""
  card = {
      'source': checkpoint.name,
      'source_sha256': weight_files.sha256(checkpoint),
      'project': layout.source,
      'licence': layout.licence,
      **card,
      'report': report,
  }
  written = weights.write_folder(out, params, config, card)
  return [
      f'{checkpoint}: {sizes(config["model"])}',
      *(f'{key}: {_value(value)}' for key, value in report.items()),
      f'licence: {layout.licence}',
      f'{out}: {"written" if written else "has these weights already"}',
  ]


def _dtype_changes(tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
  """Returns the number of tensors of each dtype other than float32."""
  names = [str(x.dtype) for x in tensors.values() if x.dtype != np.float32]
  return dict(collections.Counter(names))


def sizes(model: Mapping[str, Any]) -> str:
  """Returns a model's name and sizes as text."""
  if network := super_resolution_zoo.section(model):
    return f'sr {network.pop("network")} ({listing(network)})'
  backbone = zoo.make_backbone(model)
  found = {'width': backbone.dim}
  if not zoo.is_convnet(model):
    found |= {'depth': backbone.depth, 'heads': backbone.num_heads}
  for key, value in model.items():
    shown = ('image_size', 'patch_size', 'pool', *zoo.VIT_OPTIONS)
    if key.startswith('decoder') or key in shown:
      found[key] = value
  name = registry.task_class({'model': model}).name
  return f'{name} {model["backbone"]} ({listing(found)})'


def listing(values: Mapping[str, Any]) -> str:
  """Returns names and values as text."""
  return ', '.join(f'{key} {value}' for key, value in values.items())


def _value(value: Any) -> str:
  """Returns an entry of the report as text."""
  if isinstance(value, dict):
    return listing(value) or 'all float32'
  return str(value or 'none')
