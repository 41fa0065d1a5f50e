"""Scores of a bundle on rendered scenes, with found and with true landmarks."""

from collections.abc import Iterable, Iterator, Sequence
import itertools
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa

import abaw_jax
from abaw_jax.core import labels
from abaw_jax.data_builders.procedural import alignment as templates
from abaw_jax.data_builders.procedural.scenes import writer
from abaw_jax.faces import alignment
from abaw_jax.scoring import metrics
from abaw_jax.video import clips
from benchmarks.video import truth

COLUMNS = ('faces', 'rows', 'P_MTL', 'valence', 'arousal', 'EXPR', 'AU')
_Row = dict[str, Any]
# (clip, frame, person) -> the predictions of a table row
_Predictions = dict[tuple[str, int, int], _Row]


def rows(
    bundle: str,
    found: Sequence[pathlib.Path],
    intervals: Iterable[int],
    **options: Any,
) -> Iterator[list[str]]:
  """Yields the rows of the table.

  The rows of two lines are the same faces: those that are at least half visible and
  that the video path finds.

  Args:
    bundle: folder of the bundle.
    found: clips with truth files.
    intervals: frames from detection to detection.
    **options: of `Model.predict`, such as the detector.
  """
  model = abaw_jax.load(bundle)
  true, perfect = {}, {}
  for clip in found:
    people = list(truth.read(clip))
    for frame, group in enumerate(people):
      for who in group:
        if who.visible >= truth.VISIBLE:
          true[clip.stem, frame, who.person] = who
    perfect |= _at_the_truth(model, clip, people)
  yield ['cut at true landmarks, all', *_scores(true, perfect)]
  for every in intervals:
    seen = {}
    for clip in found:
      seen |= _from_video(model, clip, every=every, **options)
    both = seen.keys() & true.keys()
    yield [f'found, every {every}', *_scores(true, _only(seen, both))]
    yield ['cut at true landmarks', *_scores(true, _only(perfect, both))]


def _only(found: _Predictions, keys: set[tuple]) -> _Predictions:
  return {key: found[key] for key in sorted(keys)}


def _from_video(model: Any, clip: pathlib.Path, **options: Any) -> _Predictions:
  """Returns the predictions of the video path."""
  table = model.predict(clip, **options).to_pylist()
  frames = {
      frame: list(group)
      for frame, group in itertools.groupby(table, lambda row: row['frame'])
  }
  found = {}
  for frame, people in enumerate(truth.read(clip)):
    here = [row for row in frames.get(frame, ()) if row['success']]
    boxes = [np.array([row[n] for n in writer.PLACE[:4]]) for row in here]
    for i, j in truth.match(people, boxes).items():
      found[clip.stem, frame, people[i].person] = here[j]
  return found


def _at_the_truth(
    model: Any, clip: pathlib.Path, people: Sequence[Sequence[truth.Person]]
) -> _Predictions:
  """Returns the predictions for faces that are cut at their true landmarks."""
  cuts: dict[tuple[int, int], list[tuple[int, np.ndarray]]] = {}
  aligned = alignment.Alignment(template=templates.DRAWN['photo'])
  with clips.open_clip(clip) as frames:
    for frame, group in zip(frames, people, strict=True):
      for who in group:
        if who.visible >= truth.VISIBLE:
          face = aligned.crop(frame.image, who.face)
          cuts.setdefault((who.shot, who.person), []).append(
              (frame.index, face)
          )
  found = {}
  for (_, person), parts in cuts.items():
    numbers, faces = zip(*parts, strict=True)
    table: pa.Table = model.predict(np.stack(faces), aligned=True)
    for frame, row in zip(numbers, table.to_pylist(), strict=True):
      found[clip.stem, frame, person] = row
  return found


def _scores(
    true: dict[tuple[str, int, int], truth.Person], found: _Predictions
) -> list[str]:
  """Returns the number of rows and their scores; '-' if the bundle has no output."""
  people, got = [true[key] for key in found], list(found.values())
  ids = {name: i for i, name in enumerate(labels.EXPRESSIONS)}
  names = [f'AU{number:02d}_present' for number in labels.AU_NUMBERS]

  def has(name: str) -> np.ndarray:
    return np.full(len(got), bool(got) and name in got[0])

  def column(name: str) -> np.ndarray:
    return np.array([row.get(name, 0) for row in got], np.float64)

  scores = metrics.multi_task_scores(
      valence=column('valence'),
      arousal=column('arousal'),
      expression=np.array([ids.get(row.get('expression'), 0) for row in got]),
      au=np.stack([column(name) for name in names], 1).astype(np.int64),
      target_valence=np.array([who.valence for who in people]),
      target_arousal=np.array([who.arousal for who in people]),
      target_expression=np.array([who.expression for who in people]),
      target_au=np.array([who.au for who in people]),
      va=has('valence'),
      expr=has('expression'),
      au_mask=np.stack([has(name) for name in names], 1),
  )
  parts = ('P_MTL', 'CCC_valence', 'CCC_arousal', 'EXPR', 'AU')
  return [
      f'{len(people)}',
      *('-' if np.isnan(scores[x]) else f'{scores[x]:.3f}' for x in parts),
  ]
