"""Frame networks of bundles, from runs and from folders of converted weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import jax

from abaw_jax.bundles import networks
from abaw_jax.checkpoints import runs, weights
from abaw_jax.core import errors, files, labels
from abaw_jax.distributed import sharding
from abaw_jax.inference import embedder
from abaw_jax.models.multi_task import heads
from abaw_jax.tasks import classifier, registry

# Values of --contempt.
CONTEMPT = ('kept', 'left_out', 'other')


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Labels:
  """The outputs of a network.

  Attributes:
    outputs: those of valence, arousal, expression and au that were trained.
    expressions: names; see `parsing.expression_ids`.
    aus: names of the trained action units.
    untrained: outputs that training left random, with the reasons.
  """

  outputs: tuple[str, ...]
  expressions: tuple[str, ...]
  aus: tuple[str, ...]
  untrained: Mapping[str, str]


def read(
    frame: files.Path, contempt: str | None
) -> tuple[embedder.Embedder, Labels, tuple[str, ...] | None]:
  """Returns (network, what it predicts, names of a classifier's outputs).

  Args:
    frame: workdir of a run that predicts labels, or folder of a converted
      expression classifier.
    contempt: one of CONTEMPT, for a converted classifier that knows it; None is
      the first.

  Raises:
    InputError: it predicts no labels, or it has no Contempt.
  """
  config = runs.read_config(frame)
  if 'data' not in config:
    found, classes = _read_classifier(frame, config, contempt)
  else:
    task = registry.make_task(config)
    if not task.predicts_labels or 'image_size' not in config['model']:
      raise errors.InputError(
          f'--frame={frame}: its model, {task.name}, predicts no labels of single '
          'images; give a run of a frame model as --frame'
      )
    if contempt:
      raise _no_contempt(frame, contempt)
    # A frame model has a head for each task, a classifier names its outputs.
    classes = getattr(task, 'order', None)
    found = trained_labels(frame, task, classes)
  return embedder.load(frame, first_device(), output='both'), found, classes


def first_device() -> jax.sharding.Mesh:
  """Returns the mesh of one device."""
  return sharding.make_mesh(fsdp=1, devices=jax.local_devices()[:1])


def provenance(frame: files.Path, source: embedder.Embedder) -> dict[str, Any]:
  """Returns the origin of the frame network, as JSON values."""
  origin = {
      k: source.card[k]
      for k in ('run', 'step', 'weights', 'sha256')
      if k in source.card
  }
  if weights.is_folder(frame):
    card = weights.read_card(frame)
    keys = ('source', 'source_sha256', 'project', 'licence')
    return origin | {key: card[key] for key in keys if key in card}
  return origin | {'data': data_rows(frame)}


def _read_classifier(
    frame: files.Path, config: Mapping[str, Any], contempt: str | None
) -> tuple[Labels, tuple[str, ...]]:
  """Returns the labels of a converted classifier, and the names of its outputs."""
  classes = weights.read_labels(frame)
  classifier.complete(config, classes, frame)  # it has all expressions
  has_contempt = 'Contempt' in classes
  if contempt and not has_contempt:
    raise _no_contempt(frame, contempt)
  names = [name for name in labels.EXPRESSIONS if name in classes]
  contempt = contempt or CONTEMPT[0]
  if has_contempt and contempt != 'left_out':
    names.append('Contempt' if contempt == 'kept' else 'Other')
    classes = tuple('Other' if x == 'Contempt' else x for x in classes)
  outputs = [name for name in ('valence', 'arousal') if name in classes]
  return (
      Labels(
          outputs=(*outputs, 'expression'),
          expressions=tuple(names),
          aus=(),
          untrained={},
      ),
      classes,
  )


def trained_labels(
    workdir: files.Path, task: Any, classes: Sequence[str] | None = None
) -> Labels:
  """Returns the labels that a run of a task can predict.

  Args:
    workdir: of the run.
    task: of the run.
    classes: names of the outputs of a classifier; None for all labels.
  """
  untrained = runs.read_untrained(workdir)
  aus = tuple(name for name in labels.AU_NAMES if name not in untrained)
  outputs = [name for name in heads.TASK_DIMS if name not in untrained]
  if {'valence', 'arousal'} & set(outputs):  # they are read as a pair
    outputs = [
        name
        for name in heads.TASK_DIMS
        if name in (*outputs, 'valence', 'arousal')
    ]
  if classes is not None:
    outputs = [name for name in outputs if name in (*classes, 'expression')]
  ids = networks.possible_expressions(
      classes, labels.scored_expressions(task.scored_data)
  )
  if not outputs:
    raise errors.InputError(
        f'{workdir}: training left all its outputs random; give another run'
    )
  return Labels(
      outputs=tuple(outputs),
      expressions=tuple(labels.EXPRESSIONS[i] for i in ids),
      aus=aus if 'au' in outputs else (),
      untrained=untrained,
  )


def data_rows(workdir: files.Path) -> dict[str, dict[str, int]]:
  """Returns the number of rows of each split of the datasets of a run."""
  return {
      name: {
          split: summary['rows']
          for split, summary in found.get('splits', {}).items()
      }
      for name, found in runs.read_data(workdir).items()
      if name.count('/') == 1  # not the path of hidden states
  }


def _no_contempt(frame: files.Path, contempt: str) -> errors.InputError:
  return errors.InputError(
      f'--contempt={contempt}: {frame} is no converted classifier with Contempt; '
      'leave it out'
  )
