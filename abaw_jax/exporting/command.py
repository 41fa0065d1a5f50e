"""Writes the networks of a bundle for other programs, after a comparison."""

from collections.abc import Sequence
import functools
import importlib.resources
import types
from typing import Any

import numpy as np

from abaw_jax.bundles import parsing, storage
from abaw_jax.core import errors, files, locks
from abaw_jax.exporting import (
    checking,
    functions,
    onnx_graph,
    stablehlo,
    state_dict,
)

CARD = 'model.json'
# Keys of a bundle's config that users of the files need.
_KEYS = ('name', 'licence', 'labels', 'alignment', 'postprocessing')
_NOTE = (
    'not in the networks, because smoothing over frames comes before calibration: '
    'blend the models with `weights`, smooth, multiply the odds of the expressions '
    'by exp(bias), and compare each AU with its threshold'
)


def export(
    folder: files.Path,
    out: files.Path,
    *,
    file_format: str,
    faces: Sequence[files.Path] = (),
) -> list[str]:
  """Writes the networks of a bundle; returns a report.

  Args:
    folder: of the bundle.
    out: folder to write; it appears when all its files are checked.
    file_format: a key of FORMATS.
    faces: image files of aligned faces to compare with, next to random ones.

  Raises:
    InputError: the bundle is wrong or cannot have this format, `out` exists, or
      the outputs differ from those of JAX.
  """
  if out.exists():
    raise errors.InputError(f'{out}: exists; give another --out, or remove it')
  bundle, write = FORMATS[file_format](folder)
  with (
      locks.held(out),
      files.replacing(out, last=CARD) as temporary,
  ):
    temporary.mkdir()
    facts, report = write(temporary, out, faces)
    files.write_json(temporary / CARD, _card(bundle, file_format) | facts)
  return report


def _programs(program: types.ModuleType, folder: files.Path):
  """Returns (bundle, function that writes its networks), after checks.

  Args:
    program: the module of the format.
    folder: of the bundle.
  """
  program.check_installed()
  bundle = storage.read_bundle(folder, model=program.MODEL)
  networks = [
      program.adapted(network)
      for network in functions.functions(bundle, folder)
  ]

  def write(temporary, out, paths):
    faces = checking.pictures(bundle.frame, paths)
    facts, report, features = {}, [], None
    for network in networks:
      name = network.name + program.SUFFIX
      content = program.serialize(network)
      call = program.load(content)
      if features is None:
        batches = checking.face_batches(faces)
        features = np.asarray(call(faces)['features'])
      else:
        batches = checking.window_batches(network, features)
      error = checking.largest_error(network, call, batches, out / name)
      milliseconds = checking.milliseconds(call, batches[0])
      files.write(temporary / name, content)
      facts[network.name] = _facts(network, error)
      report.append(
          f'{out / name}: {len(content) / 1e6:.2f} MB, largest error {error:.1e} '
          f'(allowed {network.tolerance:.0e}), {milliseconds:.1f} ms for one '
          f'{"face" if network.name == "frame" else "window"}'
      )
    example = importlib.resources.files('abaw_jax.exporting') / program.EXAMPLE
    files.write(temporary / program.EXAMPLE, example.read_bytes())
    frame = facts.pop('frame')
    return (
        program.facts()
        | {
            'compared_faces': len(faces),
            'frame': frame,
            'temporal': facts,
        },
        report,
    )

  return bundle, write


def _torch(folder: files.Path):
  """Returns (bundle, function that writes state dicts), after checks."""
  bundle = storage.read_bundle(folder)
  params, model = state_dict.weights(bundle, folder)

  def write(temporary, out, paths):
    if paths:
      raise errors.InputError(
          '--faces: --format=torch compares weights, not faces; leave it out'
      )
    lines = {
        state_dict.FILE: state_dict.write(
            temporary / state_dict.FILE, params, model
        )
    }
    if heads := state_dict.heads(bundle):
      lines[state_dict.HEADS] = state_dict.write_heads(
          temporary / state_dict.HEADS, heads
      )
    return {
        'model': model,
        'preprocessing': bundle.config['preprocessing'],
        'heads': {name: list(x.shape) for name, x in heads.items()},
    }, [f'{out / name}: {line}' for name, line in lines.items()]

  return bundle, write


FORMATS = {
    'stablehlo': functools.partial(_programs, stablehlo),
    'onnx': functools.partial(_programs, onnx_graph),
    'torch': _torch,
}


def _card(bundle: parsing.Bundle, file_format: str) -> dict[str, Any]:
  return {
      'format': f'abaw_jax export, {file_format}',
      'bundle': {key: bundle.config[key] for key in _KEYS},
      'checksums': bundle.info['checksums'],
      'postprocessing_note': _NOTE,
  }


def _facts(network: functions.Function, error: float) -> dict[str, Any]:
  return {
      'inputs': [tensor._asdict() for tensor in network.inputs],
      'outputs': [tensor._asdict() for tensor in network.outputs],
      'max_length': network.max_length,
      'largest_error': error,
  } | network.facts
