"""What tasks share that predict valence, arousal, expressions and action units."""

from collections.abc import Collection, Iterable, Mapping, Sequence
import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array
import numpy as np

from abaw_jax.core import errors, files, fingerprint, labels, text_table
from abaw_jax.data import label_counts
from abaw_jax.models.multi_task import heads
from abaw_jax.scoring import metrics, prediction_files, predictions
from abaw_jax.tasks import multi_task_loss, task

_UNLABELLED = 'no label in the training split'


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelTask(task.Task):
  """A task that predicts all four labels of every frame.

  Attributes:
    loss_fn: compares outputs with labels.
  """

  predicts_labels: ClassVar[bool] = True
  part_scores: ClassVar[Mapping[str, str]] = metrics.PART_SCORES
  scored_fields: ClassVar[tuple[str, ...]] = (
      'valence', 'arousal', 'expression', 'au', 'va', 'expr', 'au_mask',
      'frame_id', 'row', 'video_id',
  )  # fmt: skip

  loss_fn: multi_task_loss.MultiTaskLoss

  def fitted(self, source: Any) -> task.Task:
    section = self.config['loss']
    if not multi_task_loss.needs_counts(section):
      return self
    counts = self.label_counts(source)
    return dataclasses.replace(
        self, loss_fn=self.make_loss(self.config, counts)
    )

  @classmethod
  def make_loss(
      cls,
      config: Mapping[str, Any],
      counts: label_counts.LabelCounts | None = None,
  ) -> multi_task_loss.MultiTaskLoss:
    """Returns the loss of a config's `loss` section.

    Args:
      config: of the experiment.
      counts: of the training labels; without them every class weighs the same.
    """
    section = config['loss']
    # Configs of older runs lack some keys.
    options = {
        key: section[key] for key in multi_task_loss.KEYS if key in section
    }
    return multi_task_loss.make(**options, counts=counts)

  def label_counts(self, source: Any) -> label_counts.LabelCounts:
    """Returns how often each label occurs in a source."""
    return label_counts.LabelCounts.of(
        self.label_records(source, label_counts.FIELDS)
    )

  def label_records(
      self, source: Any, fields: Sequence[str]
  ) -> Iterable[Mapping[str, Any]]:
    """Returns the labels of a source; a record holds one row or many."""
    return source.with_fields(*fields)

  def labelled_videos(self, source: Any) -> list[str]:
    """Returns the names of the videos that have a label.

    Raises:
      InputError: the images of the source are not from videos.
    """
    names = source.names({}).get('video')
    if names is None:
      raise errors.InputError(
          f'{source}: single images are not from videos; tuning needs a dataset '
          'of videos, such as s_aff_wild2'
      )
    records = self.label_records(source, label_counts.MASKS)
    return sorted(
        {
            str(name)
            for name, record in zip(names, records, strict=True)
            if any(np.any(mask) for mask in record.values())
        }
    )

  def untrained(self, source: Any) -> dict[str, str]:
    known = label_counts.is_labelled(
        self.label_records(source, label_counts.MASKS)
    )
    aus = {name: known[name] for name in labels.AU_NAMES}
    known['au_mask'] = any(aus.values())
    reasons = {}
    for name in heads.TASK_DIMS:
      if not self.loss_fn.weights.get(name):
        reasons[name] = 'its loss has no weight'
      elif not known[labels.MASKS[name]]:
        reasons[name] = _UNLABELLED
    if 'au' not in reasons:
      reasons |= {name: _UNLABELLED for name in aus if not aus[name]}
    return reasons

  @property
  def scored_data(self) -> tuple[str, ...]:
    """The names of the datasets that score the task."""
    data = self.config.get('data', {})
    names = data.get('validation') or data.get('name', '')
    return tuple(names.split(','))

  def rows(self, output: task.Batch, batch: task.Batch) -> dict[str, Array]:
    """Returns labels, masks and predictions; probabilities instead of logits.

    On LSD, the logits of other expressions than its six are left out.
    """
    scored = labels.scored_expressions(self.scored_data)
    return super().rows(probabilities(output, scored), batch)

  def scores(self, rows: task.Rows) -> dict[str, float]:
    try:
      found = predictions.Predictions.from_rows(rows)
      data = {name: {} for name in self.scored_data}
      return dataclasses.replace(found, data=data).scores()
    except ValueError as e:
      raise errors.InputError(
          f'the predictions cannot be scored: {e}; the weights have diverged, '
          'take an earlier checkpoint or a lower config.optim.lr'
      ) from e

  def part_total(self, parts: Mapping[str, float]) -> float:
    """Returns P_MTL; NaN if a part has no score."""
    return float(metrics.combine(**parts)['P_MTL'])

  def summary(self, scores: Mapping[str, float]) -> str:
    return metrics.summary(scores)

  def table(
      self, scores: Mapping[str, float], untrained: Collection[str] = ()
  ) -> list[str]:
    return table(scores, untrained)

  def write(
      self,
      path: files.Path,
      rows: task.Rows,
      data: Mapping[str, fingerprint.Fingerprint],
  ) -> None:
    if 'video' in rows:
      found = predictions.Predictions.from_rows(rows)
      prediction_files.write(path, dataclasses.replace(found, data=data))
    else:  # single images have names and no place in a video
      super().write(path, rows, data)


def probabilities(
    output: task.Batch, expressions: Sequence[int]
) -> dict[str, Array]:
  """Returns valence and arousal, and probabilities instead of logits.

  Args:
    output: a `labels.Output`; some tasks may be missing.
    expressions: ids of the expressions that are possible; the probability of the
      others is 0.
  """
  output = {k: output[k] for k in heads.TASK_DIMS if k in output}
  if len(expressions) < labels.NUM_EXPRESSIONS:
    others = np.isin(range(labels.NUM_EXPRESSIONS), expressions, invert=True)
    output['expression'] = jnp.where(others, -jnp.inf, output['expression'])
  output['expression'] = jax.nn.softmax(output['expression'], axis=-1)
  if 'au' in output:
    output['au'] = jax.nn.sigmoid(output['au'])
  return output


def empty_labels(num_frames: int) -> dict[str, np.ndarray]:
  """Returns the label columns of unlabelled frames, as datasets store them."""
  return {
      'valence': np.zeros(num_frames, np.float32),
      'arousal': np.zeros(num_frames, np.float32),
      'expression': np.zeros(num_frames, np.int32),
      'au': np.zeros((num_frames, labels.NUM_AUS), np.int8),
      'va': np.zeros(num_frames, bool),
      'expr': np.zeros(num_frames, bool),
      'au_mask': np.zeros((num_frames, labels.NUM_AUS), bool),
      'row': np.zeros(num_frames, np.int32),
  }


def table(
    scores: Mapping[str, float], untrained: Collection[str] = ()
) -> list[str]:
  """Returns one line for each score, with the number of its labelled rows.

  Scores of the outputs in `untrained` are marked, see `Task.untrained`.
  """
  if not metrics.is_labelled(scores):
    return []
  expressions = ('accuracy', *(f'F1_{name}' for name in labels.EXPRESSIONS))
  rows = [  # (score, mask of its labels, outputs that it measures)
      ('CCC_valence', 'va', {'valence'}),
      ('CCC_arousal', 'va', {'arousal'}),
      *((key, 'expr', {'expression'}) for key in expressions),
      *((f'F1_{name}', 'au', {'au', name}) for name in labels.AU_NAMES),
  ]
  return text_table.aligned(
      [
          (
              key,
              f'{scores[key]:.4f}',
              f'{scores[f"n_{mask}"]:,.0f} labelled',
              '' if outputs.isdisjoint(untrained) else 'not trained',
          )
          for key, mask, outputs in rows
          if not math.isnan(scores[key])
      ]
  )
