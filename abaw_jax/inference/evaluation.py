"""Evaluation of a split: predictions of every row, then its scores."""

from collections.abc import Mapping
import functools
import math
import pathlib
from typing import Any

import jax
import numpy as np

from abaw_jax.checkpoints import runs
from abaw_jax.core import errors, files, labels, storage_errors
from abaw_jax.distributed import sharding
from abaw_jax.inference import prediction
from abaw_jax.scoring import metrics, verification
from abaw_jax.sequences import sources
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs, registry


def evaluate(
    workdir: pathlib.Path,
    split: str,
    *,
    data: pathlib.Path | None = None,
    of: str = 'score',
) -> dict[str, float]:
  """Returns the scores of a run's best checkpoint, and writes its predictions.

  `predictions/<split>.npz` holds one entry per row of the split's list: `video`,
  `frame_id`, `row` (position in the list), `pred_valence`, `pred_arousal`,
  `pred_expression` and `pred_au` (probabilities), and the labels with their
  masks. `predictions/<split>.json` holds the scores; NaN becomes null.

  Args:
    workdir: of the run.
    split: to predict.
    data: `<data_dir>/<dataset>` of another dataset than the run's own; its
      predictions have a folder of their own, see `file`.
    of: whose weights predict, one of `prediction.CHOICES`.

  Raises:
    InputError: if there is no such run, checkpoint or split.
  """
  config = runs.read_config(workdir)
  if 'data' not in config:
    raise errors.InputError(
        f'{workdir}: holds weights and no run, so there is no dataset to score '
        'on; name the workdir of a run'
    )
  task = registry.make_task(config)
  if data is not None:
    config['data'] |= _other_data(config['data'], data)
  source = inputs.make_source(config, split)
  mesh = sharding.make_mesh(fsdp=config['mesh']['fsdp'])
  with jax.set_mesh(mesh):
    shapes = steps.param_shapes(task, inputs.example(config, source), mesh)
    predict = functools.partial(
        prediction.predict_rows,
        steps.jit_predict_step(task, mesh),
        batches=inputs.eval_batches(config, source),
        mesh=mesh,
    )
    rows = prediction.predict_as(of, predict, workdir, shapes)
  rows = listed(source, rows)
  scores = score_rows(rows)
  if jax.process_index() == 0:  # all have the same rows
    path = file(workdir, split, data=data, of=of)
    with (
        storage_errors.writing(path.parent, path.name),
        files.replacing(path) as temporary,
        temporary.open('wb') as stream,
    ):
      np.savez_compressed(stream, **rows | _names(source, rows))
    runs.write_scores(path.with_suffix('.json'), scores)
  return scores


def file(
    workdir: pathlib.Path,
    split: str,
    *,
    data: pathlib.Path | None = None,
    of: str = 'score',
) -> pathlib.Path:
  """Returns where `evaluate` writes predictions."""
  folder = workdir / 'predictions'
  name = split if of == 'score' else f'{split}_{of}'
  return (folder / data.name if data else folder) / f'{name}.npz'


def validation_source(config: Mapping[str, Any]) -> inputs.Source:
  """Returns the validation split, on which training scores itself.

  Raises:
    InputError: if the dataset has none.
  """
  try:
    return inputs.make_source(config, 'validation')
  except errors.InputError as e:
    raise errors.InputError(
        f'{e}; training scores itself on the split `validation`: build the '
        'dataset with one'
    ) from e


def listed(
    source: inputs.Source, rows: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  """Returns predictions of every row of the split's list.

  Sequences have a frame once that the list names several times.

  Args:
    source: what was predicted.
    rows: as `prediction.predict_rows` returns.
  """
  if isinstance(source, sources.Sequences):
    return source.videos.listed(rows)
  return dict(rows)


def score_rows(rows: Mapping[str, np.ndarray]) -> dict[str, float]:
  """Returns the scores of multi-task predictions, or the mean `loss` of MAE.

  Raises:
    InputError: if a prediction that counts is NaN or infinite.
  """
  if 'pred_loss' in rows:
    return {'loss': float(np.mean(rows['pred_loss'], dtype=np.float64))}
  if 'pred_direction' in rows:
    return score_people(rows)
  try:
    score = metrics.MTLScore.of(
        valence=rows['pred_valence'],
        arousal=rows['pred_arousal'],
        expression=np.argmax(rows['pred_expression'], axis=-1),
        au=rows['pred_au'] >= 0.5,
        target_valence=rows['valence'],
        target_arousal=rows['arousal'],
        target_expression=rows['expression'],
        target_au=rows['au'],
        va=rows['va'],
        expr=rows['expr'],
        au_mask=rows['au_mask'],
    )
  except ValueError as e:
    raise errors.InputError(
        f'the predictions cannot be scored: {e}; the weights have diverged, '
        'take an earlier checkpoint or a lower config.optim.lr'
    ) from e
  return score.scores()


def score_people(rows: Mapping[str, np.ndarray]) -> dict[str, float]:
  """Returns the scores of an identity model; `score` is the one that counts.

  Where all people are those it was trained on, they are told: `accuracy`. Where
  they are not, pairs of images are: the `AUC` of `verification.verification`.

  Raises:
    InputError: if there are no pairs, or an embedding is not finite.
  """
  try:
    if rows['pred_known'].all():
      scores = verification.identification(
          rows['pred_identity'], rows['identity']
      )
      return scores | {'score': scores['accuracy']}
    scores = verification.verification(rows['pred_direction'], rows['identity'])
    return scores | {'score': scores['AUC']}
  except ValueError as e:
    raise errors.InputError(
        f'the people of this split cannot be scored: {e}; hold out more of them '
        '(--validation_share of the build), or take an earlier checkpoint'
    ) from e


def format_scores(scores: Mapping[str, float]) -> str:
  """Returns one line: `P_MTL x (VA x EXPR x AU x)`, or `loss x` of MAE.

  Where a part has no labels, or an AU has none, the line begins with the `score`
  of what there is.
  """
  if 'loss' in scores:
    return f'loss {scores["loss"]:.4f}'
  if 'P_MTL' not in scores:  # of people
    parts = ' '.join(
        f'{key} {value:.4f}'
        for key, value in scores.items()
        if key != 'score' and not key.startswith('n_')
    )
    return f'score {scores["score"]:.4f} ({parts})'
  if not _labelled(scores):
    return 'no score: this split has no labels'
  parts = ' '.join(
      f'{k} {scores[k]:.4f}'
      for k in ('VA', 'EXPR', 'AU')
      if not math.isnan(scores[k])
  )
  total = 'score' if math.isnan(scores['P_MTL']) else 'P_MTL'
  return f'{total} {scores[total]:.4f} ({parts})'


def score_table(scores: Mapping[str, float]) -> list[str]:
  """Returns a table of all scores, one line each, with their valid rows."""
  if 'P_MTL' not in scores or not _labelled(scores):
    return []
  lines = []
  for task, keys in {
      'va': ('CCC_valence', 'CCC_arousal'),
      'expr': (
          'accuracy',
          *(f'F1_{name}' for name in labels.EXPRESSIONS),
      ),
      'au': tuple(f'F1_{name}' for name in labels.AU_NAMES),
  }.items():
    count = f'{scores[f"n_{task}"]:,.0f} labelled'
    lines += [
        f'{key:16} {scores[key]:8.4f}   {count}'
        for key in keys
        if not math.isnan(scores[key])
    ]
  return lines


def _other_data(section: Mapping[str, Any], data: pathlib.Path):
  """Returns the keys of a data section that another dataset changes."""
  # How the run's own dataset is mixed and split says nothing of another.
  own = {'num_folds': 0, 'validation': '', 'weights': ''}
  plain = {key: value for key, value in own.items() if key in section}
  return {'dir': str(data.parent), 'name': data.name} | plain


def _labelled(scores: Mapping[str, float]) -> bool:
  """Returns whether any row had a label."""
  return any(scores[f'n_{task}'] for task in ('va', 'expr', 'au'))


def _names(source: inputs.Source, rows: Mapping[str, np.ndarray]):
  """Returns what tells the rows apart, by field, in the order of the rows."""
  if isinstance(source, sources.Sequences):
    return {'video': np.array(source.videos.names)[rows['video_id']]}
  return source.names()
