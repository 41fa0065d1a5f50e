"""Writes a bundle from runs, or from converted weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import shutil
from typing import Any

import jax
import numpy as np

import abaw_jax
from abaw_jax import faces
from abaw_jax.bundles import (
    card,
    frame_networks,
    networks,
    scoring,
    storage,
    temporal_runs,
)
from abaw_jax.core import errors, files, locks
from abaw_jax.distributed import sharding
from abaw_jax.inference import embedder
from abaw_jax.porting import weight_files
from abaw_jax.postprocessing import postprocess, postprocessing_files

# Values of --alignment next to the path of a JSON file.
ALIGNMENTS = {'arcface': 'five_points', 'box': 'box'}
_ARCFACE_SIZE = 112


def write_bundle(
    out: files.Path,
    *,
    frame: files.Path,
    temporal: Sequence[files.Path] = (),
    postprocessing: files.Path | None = None,
    alignment: str | None = None,
    data_dir: files.Path | None = None,
    stride: int | None = None,
    contempt: str | None = None,
    licence: str | None = None,
) -> list[str]:
  """Writes a bundle with the best weights of some runs; returns a report.

  Args:
    out: folder to write; its name is the name of the bundle.
    frame: workdir of a run, or folder of converted weights.
    temporal: workdirs of temporal runs on features of `frame`; several are blended.
    postprocessing: JSON file with smoothing, bias and thresholds.
    alignment: a key of ALIGNMENTS, or a JSON file of `faces.Alignment`; None is
      'box' for weights that expect squashed boxes, otherwise 'arcface'.
    data_dir: folder of the datasets with the features, if it was moved.
    stride: frames between two windows of a temporal model that reads windows; None
      is half a window.
    contempt: one of `frame_networks.CONTEMPT`, see `frame_networks.read`.
    licence: of the weights, for the card; None means that of converted weights.

  Raises:
    InputError: the parts do not fit together, or the folder has other content.
  """
  members = [temporal_runs.read(run, data_dir) for run in temporal]
  source, found, classes = _frame_network(frame, members, contempt)
  processing = _postprocessing(postprocessing, max(len(members), 1))
  runs = tuple(temporal) or (frame,)
  origin = frame_networks.provenance(frame, source)
  config = {
      'format': storage.FORMAT,
      'version': storage.VERSION,
      'name': files.absolute(out).name,
      'abaw_jax': abaw_jax.__version__,
      'licence': licence or origin.get('licence', card.UNKNOWN_LICENCE),
      'frame': {
          'model': source.card['model'],
          'features': source.outputs if members else ('embedding',),
          'classes': classes,
      },
      'preprocessing': {
          key: source.card[key]
          for key in ('mean', 'std', 'color_order', 'fit', 'filter')
      }
      | {'image_size': source.card['face_size'], 'views': source.crops},
      'alignment': _alignment(alignment, source).to_json(),
      'temporal': [
          {**run.section, 'stride': _stride(run, stride)} for run in members
      ],
      'labels': {
          'outputs': found.outputs,
          'expressions': found.expressions,
          'aus': found.aus,
      },
      'untrained': found.untrained,
      'postprocessing': postprocessing_files.to_json(processing),
      'provenance': {
          'frame': origin,
          'temporal': [run.provenance for run in members],
      },
      'scores': scoring.scores(runs, processing, found.outputs),
  }
  if stride is not None and not members:
    raise errors.InputError(
        f'--stride={stride}: there is no temporal model; leave it out'
    )
  tensors = _flat('frame', source.params)
  for i, run in enumerate(members):
    tensors |= _flat(f'temporal{i}', run.params)
  written = write_files(out, json.loads(json.dumps(config)), tensors)
  bundle = storage.read_bundle(out)
  count = sum(x.size for x in tensors.values())
  return [
      f'predicts: {", ".join(bundle.outputs)}',
      f'{out}: {count:,} weights, '
      f'{"written" if written else "this bundle was there already"}',
  ]


def _frame_network(
    frame: files.Path,
    members: Sequence[temporal_runs.TemporalRun],
    contempt: str | None,
) -> tuple[embedder.Embedder, frame_networks.Labels, tuple[str, ...] | None]:
  """Returns (frame network, labels of the bundle, names of a classifier's outputs)."""
  if not members:
    return frame_networks.read(frame, contempt)
  if contempt:
    raise errors.InputError(
        f'--contempt={contempt}: the temporal model decides the expressions; leave '
        'it out'
    )
  first = members[0]
  for run in members[1:]:
    if list(run.cards.values()) != list(first.cards.values()):
      raise errors.InputError(
          f'--temporal={run.workdir}: it reads other features than '
          f'{first.workdir}; blend runs that read the same features'
      )
    if run.labels.expressions != first.labels.expressions:
      raise errors.InputError(
          f'--temporal={run.workdir}: it predicts other expressions than '
          f'{first.workdir}; blend runs with the same expressions'
      )
  source = temporal_runs.read_features_network(frame, first)
  return source, temporal_runs.merged([run.labels for run in members]), None


def _postprocessing(
    path: files.Path | None, num_members: int
) -> postprocess.Postprocessing:
  if path is None:
    return postprocess.Postprocessing.equal_weights(num_members)
  found = postprocessing_files.read(path)
  count = len(found.weights['va'])
  if count != num_members:
    raise errors.InputError(
        f'{path}: weights.va has {count} members, and the bundle has '
        f'{num_members}; give the same runs in the same order'
    )
  return found


def _alignment(given: str | None, source: embedder.Embedder) -> faces.Alignment:
  """Returns the alignment of --alignment."""
  resizing = source.decoding['resizing']
  given = given or ('box' if resizing.fit == 'squash' else 'arcface')
  if given not in ALIGNMENTS:
    path = files.path(given)
    try:
      content = json.loads(path.read_text())
    except (OSError, ValueError) as e:
      raise errors.InputError(
          f'--alignment={given}: cannot be read ({e}); give '
          f'{", ".join(ALIGNMENTS)} or a JSON file'
      ) from e
    return faces.Alignment.from_json(content, f'--alignment={given}')
  size = source.decoding['image_size']
  if given == 'arcface':
    # Smaller faces come from the usual size, as in aligned datasets.
    size = max(size, _ARCFACE_SIZE)
  return faces.Alignment(method=ALIGNMENTS[given], size=size)


def _stride(run: temporal_runs.TemporalRun, stride: int | None) -> int:
  """Returns the distance of two windows of a temporal model."""
  section, window = run.section, run.section['window']
  network = networks.make_temporal(
      section, params={}, expressions=(), stride=window
  )
  if network.is_exact or network.sequential:
    if stride not in (None, window):
      raise errors.InputError(
          f'--stride={stride}: {run.workdir} carries its state from frame to '
          'frame, so its windows cannot overlap; leave it out'
      )
    return window
  if stride is None:
    return max(window // 2, 1)
  if not 1 <= stride <= window:
    raise errors.InputError(
        f'--stride={stride}: the windows of {run.workdir} have {window} frames; '
        f'give a number from 1 to {window}'
    )
  return stride


def _flat(part: str, params: Any) -> dict[str, np.ndarray]:
  """Returns weights by `part/path`, in host memory."""
  leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(params))
  return {
      f'{part}/{sharding.path_name(path)}': np.asarray(x, np.float32)
      for path, x in leaves
  }


def write_files(
    out: files.Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
) -> bool:
  """Writes all files; returns False if the same bundle exists."""
  with (
      locks.held(out),
      files.replacing(out, last=storage.CHECKSUMS) as temporary,
  ):
    temporary.mkdir()
    files.write_json(temporary / storage.CONFIG, config)
    weight_files.write_tensors(temporary / storage.TENSORS, tensors)
    files.write(temporary / storage.CARD, card.text(config))
    checksums = {
        name: weight_files.sha256(temporary / name) for name in storage.FILES
    }
    files.write_json(temporary / storage.CHECKSUMS, checksums)
    if out.exists():
      old = out / storage.CHECKSUMS
      same = old.is_file() and json.loads(old.read_text()) == checksums
      if not same:
        raise errors.InputError(
            f'{out}: exists with other content; give another --out, or remove it'
        )
      shutil.rmtree(temporary)
      return False
  return True
