"""Temporal models of bundles, from runs, and the networks that made their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
from typing import Any

import jax

from abaw_jax.bundles import frame_networks, networks
from abaw_jax.checkpoints import parameters, runs
from abaw_jax.core import errors, files, labels
from abaw_jax.inference import embedder
from abaw_jax.models import zoo
from abaw_jax.models.multi_task import heads
from abaw_jax.sequences import feature_datasets
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs, registry

# Keys of a feature set's card that only name its origin.
_NAMES = ('run', 'step', 'weights', 'dim', 'data')


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TemporalRun:
  """The best checkpoint of a run of a temporal model.

  Attributes:
    workdir: of the run.
    section: section `temporal` of a bundle's config, without the stride.
    params: weights, nested by name.
    cards: card of each feature set of frames, by name, in order.
    labels: what it predicts.
    sha256: of the weights, as in the card of its hidden states.
    provenance: origin, as JSON values.
  """

  workdir: files.Path
  section: Mapping[str, Any]
  params: Mapping[str, Any]
  cards: Mapping[str, Mapping[str, Any]]
  labels: frame_networks.Labels
  sha256: str
  provenance: Mapping[str, Any]


def read(workdir: files.Path, data_dir: files.Path | None) -> TemporalRun:
  """Returns the best checkpoint of a temporal run.

  Args:
    workdir: of the run.
    data_dir: folder of the datasets with its features, if it was moved.

  Raises:
    InputError: it is no such run, its features have no card, their normalisation
      needs a full video, or they are hidden states that a bundle cannot compute.
  """
  config = runs.read_config(workdir)
  if 'data' not in config or 'features' not in config['data']:
    raise errors.InputError(
        f'--temporal={workdir}: this is not a run of a temporal model; give it as '
        '--frame'
    )
  data = config['data']
  if data['norm'] not in ('none', 'train'):
    raise errors.InputError(
        f'--temporal={workdir}: config.data.norm={data["norm"]} needs the mean of '
        'the full video before its first frame; train with config.data.norm=train'
    )
  task = registry.make_task(config)
  names = [name.strip() for name in data['features'].split(',')]
  root = data_dir or data['dir']
  own = {
      name: feature_datasets.read_card(root, data['name'], name)
      for name in names
      if '/' not in name
  }
  if [*own] != names[: len(own)]:
    raise errors.InputError(
        f'--temporal={workdir}: config.data.features={data["features"]}: a bundle '
        'joins features of frames before hidden states; train a run that names '
        'them first'
    )
  below = [read(files.path(name), data_dir) for name in names[len(own) :]]
  hidden = _hidden_dims(workdir, data, below)
  cards = own or below[0].cards
  section = {
      'model': dict(config['model']),
      'feature_dim': sum(card['dim'] for card in cards.values()),
      'window': data['window'],
      'carried': data['batching'] == 'stateful_videos',
  }
  if below:
    _check_below(workdir, cards, section, below)
    section['below'] = [run.section['model'] for run in below]
    section['keep_features'] = bool(own)
  mesh = frame_networks.first_device()
  with jax.set_mesh(mesh):
    dim = sum(card['dim'] for card in own.values()) + sum(hidden)
    batch = inputs.example_without_data(task, feature_dim=dim)
    shapes = steps.param_shapes(task, batch, mesh)
    params, step = parameters.load(workdir, shapes)
  kept = _like(
      jax.device_get(params), networks.temporal_shapes(config['model'], dim)
  )
  origin = {
      'run': workdir.name,
      'step': step,
      'features': [
          *own,
          *(f'hidden states of {x.workdir.name}' for x in below),
      ],
      'data': frame_networks.data_rows(workdir),
  }
  if below:
    origin['below'] = [run.provenance for run in below]
  return TemporalRun(
      workdir=workdir,
      section=section,
      params=kept
      | {networks.below_name(i): run.params for i, run in enumerate(below)},
      cards=cards,
      labels=frame_networks.trained_labels(workdir, task),
      sha256=parameters.checksum(params),
      provenance=origin,
  )


def _hidden_dims(
    workdir: files.Path, data: Mapping[str, Any], below: Sequence[TemporalRun]
) -> list[int]:
  """Returns the widths of the hidden states of some runs.

  Raises:
    InputError: the weights of a run have changed since they were extracted.
  """
  dims = []
  for run in below:
    card = feature_datasets.read_card(
        run.workdir / feature_datasets.OF_RUN,
        data['name'],
        feature_datasets.HIDDEN,
    )
    if card['sha256'] != run.sha256:
      raise errors.InputError(
          f'--temporal={workdir}: reads hidden states of other weights than those '
          f'of {run.workdir}; restore that run, or train {workdir.name} again'
      )
    dims.append(card['dim'])
  return dims


def _check_below(
    workdir: files.Path,
    cards: Mapping[str, Any],
    section: Mapping[str, Any],
    below: Sequence[TemporalRun],
) -> None:
  """Raises an InputError if a bundle cannot compute the hidden states of runs."""
  why = ''
  for run in below:
    if 'below' in run.section:
      why = (
          'reads hidden states itself, and a bundle has one layer of such runs'
      )
    elif (run.section['window'], run.section['carried']) != (
        section['window'], section['carried']
    ):  # fmt: skip
      why = 'has another config.data.window or config.data.batching'
    elif list(run.cards.items()) != list(cards.items()):
      why = 'reads other features of frames'
    if why:
      raise errors.InputError(
          f'--temporal={workdir}: reads hidden states of {run.workdir}, which {why}; '
          'bundle a run of configs/joint.py'
      )


def read_features_network(
    frame: files.Path, run: TemporalRun
) -> embedder.Embedder:
  """Returns the feature extractor that made the features of a temporal run.

  Args:
    frame: workdir of a run, or folder of weights.
    run: the temporal run.

  Raises:
    InputError: the features come from other weights or another preprocessing.
  """
  mesh = frame_networks.first_device()
  found = []
  for name, card in run.cards.items():
    if 'model' not in card:
      raise errors.InputError(
          f'--temporal={run.workdir}: its features {name} were imported, so no '
          'network here makes them from images; train on features of abaw-jax '
          'extract'
      )
    if zoo.is_video(card['model']):
      raise errors.InputError(
          f'--temporal={run.workdir}: a video network made its features {name} from '
          'windows of frames, and a bundle reads frame by frame; train on features '
          'of single images'
      )
    section = runs.read_config(frame)['model']
    pool = card['model'].get('pool', '')
    source = embedder.load(
        frame,
        mesh,
        output=card['output'],
        pool=pool if pool != section.get('pool', '') else '',
        crops=card['crops'],
    )
    _check_same(
        frame, run.workdir, name, json.loads(json.dumps(source.card)), card
    )
    found.append(source)
  if len({(source.crops, source.augmentation) for source in found}) > 1:
    raise errors.InputError(
        f'--temporal={run.workdir}: its feature sets {", ".join(run.cards)} have '
        'different views; a bundle computes all features from the same images'
    )
  # The weights of the heads, if a feature set needs them.
  largest = max(found, key=lambda source: len(source.params))
  outputs = tuple(name for source in found for name in source.outputs)
  return dataclasses.replace(largest, outputs=outputs)


def merged(parts: Sequence[frame_networks.Labels]) -> frame_networks.Labels:
  """Returns the labels of a blend: an output is trained if one network trains it."""
  first = parts[0]
  reasons = set.intersection(*(set(part.untrained) for part in parts))
  aus = {name for part in parts for name in part.aus}
  outputs = {name for part in parts for name in part.outputs}
  return frame_networks.Labels(
      outputs=tuple(name for name in heads.TASK_DIMS if name in outputs),
      expressions=first.expressions,
      aus=tuple(name for name in labels.AU_NAMES if name in aus),
      untrained={k: v for k, v in first.untrained.items() if k in reasons},
  )


def _check_same(
    frame: files.Path,
    workdir: files.Path,
    name: str,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
) -> None:
  """Raises an InputError if a network did not make a feature set."""
  keys = ours.keys() - set(_NAMES)
  for key in sorted(keys, key=lambda key: (key != 'sha256', key)):
    if ours[key] != theirs.get(key):
      raise errors.InputError(
          f'--frame={frame}: the features {name} of {workdir} were made with '
          f'{key}={theirs.get(key)!r}, these weights have {ours[key]!r}; give the '
          'run or the weights that extract read'
      )


def _like(params: Mapping[str, Any], shapes: Any) -> dict[str, Any]:
  """Returns the parameters of the model; leaves out those of losses."""
  return {
      key: _like(params[key], value) if isinstance(value, dict) else params[key]
      for key, value in shapes.items()
  }
