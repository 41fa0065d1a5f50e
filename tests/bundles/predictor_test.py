"""A bundle predicts faces as `extract`, `evaluate` and `predict_split` do."""

import itertools

import numpy as np
import pytest

from abaw_jax.bundles import bundle, storage, writing
from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.inference import evaluation
from abaw_jax.postprocessing import postprocess, postprocessing_files
from abaw_jax.scoring import prediction_files
from tests.bundles import made

FIELDS = ('valence', 'arousal', 'expression', 'au')
NETWORKS = ('frame', *made.RUNS)


@pytest.fixture(scope='module')
def predictors(root, postprocessing, tmp_path_factory):
  """Returns a predictor for the frame model and for each temporal model."""
  folder = tmp_path_factory.mktemp('predictors')
  for name in NETWORKS:
    writing.write_bundle(
        folder / name,
        frame=root / 'frame',
        temporal=[root / name] if name != 'frame' else [],
        postprocessing=postprocessing,
        # The windows of `evaluate` do not overlap.
        stride=made.WINDOW if name != 'frame' else None,
    )
  return {name: bundle.load(folder / name) for name in NETWORKS}


@pytest.fixture(scope='module')
def videos(root):
  return made.videos(root)


def join(parts):
  return type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))


def distinct(rows):
  """Returns each frame of predictions once, sorted by video and frame."""
  keys = np.rec.fromarrays([rows.video, rows.frame_id])
  return rows.take(np.unique(keys, return_index=True)[1])


@pytest.mark.parametrize('name', NETWORKS)
def test_rows_are_those_of_evaluate(
    root, predictors, postprocessing, videos, name
):
  stored = prediction_files.read(evaluation.file(root / name, made.SPLIT))
  final = postprocessing_files.read(postprocessing).apply([distinct(stored)])
  predictor = predictors[name]
  tracks = {video: predictor.track() for video in videos}
  parts = {video: [] for video in videos}
  # All videos side by side, in parts of 1, 4, 1, 4, ... frames.
  for a, b in itertools.pairwise(itertools.accumulate([0, *[1, 4] * 20])):
    pushes = []
    for video, data in videos.items():
      features = predictor.embed(data['faces'][a:b])
      numbers = data['frame_id'][a:b]
      pushes.append((tracks[video], features, numbers, numbers / 30))
    for video, rows in zip(videos, predictor.push_all(pushes), strict=True):
      parts[video].append(rows)
  ends = predictor.finish_all([*tracks.values()])
  for video, end in zip(videos, ends, strict=True):
    rows = join([*parts[video], end])
    want = final.take(final.video == video)
    np.testing.assert_array_equal(rows.frame_index, want.frame_id)
    np.testing.assert_array_equal(rows.timestamp, want.frame_id / 30)
    for field in FIELDS:
      np.testing.assert_allclose(
          getattr(rows, field), getattr(want, field), atol=2e-5
      )
    np.testing.assert_array_equal(rows.au_decisions, rows.au >= 0.5)


def test_features_are_those_of_extract(root, predictors, videos):
  predictor = predictors['mtl']
  stored = {}
  for record in sources.Records(
      root, 's_aff_wild2_features', 'small', made.SPLIT
  ):
    for number, x in zip(record['frame_id'], record['features'], strict=True):
      stored[record['video'].decode(), int(number)] = x
  for video, data in videos.items():
    want = np.stack([stored[video, int(i)] for i in data['frame_id']])
    for name in ('mtl', 'frame'):
      found = predictors[name].embed(data['faces'])
      np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)
  assert predictor.embed([]).shape == (0, predictor.feature_dim)


@pytest.mark.parametrize('name', NETWORKS)
def test_live_rows_come_at_once_and_read_no_later_frame(predictors, name):
  predictor = predictors[name]
  features = np.random.default_rng(0).normal(size=(10, predictor.feature_dim))
  numbers = np.arange(10) * 2
  times = numbers / 30
  track = predictor.track(live=True)
  rows = join(
      [
          track.push(features[i : i + 1], numbers[i : i + 1], times[i : i + 1])
          for i in range(10)
      ]
  )
  np.testing.assert_array_equal(rows.frame_index, numbers)
  assert not len(track.finish())
  other = predictor.track(live=True)
  changed = np.where(np.arange(10)[:, None] < 7, features, -features)
  first = other.push(changed, numbers, times)
  assert len(first) == 10
  for field in FIELDS:
    now, then = getattr(rows, field), getattr(first, field)
    np.testing.assert_allclose(now[:7], then[:7], atol=1e-5)
    assert np.abs(now[7:] - then[7:]).max() > 1e-4
  # The row of the last frame is that of a track that ends there.
  third = predictor.track()
  whole = join([third.push(features, numbers, times), third.finish()])
  if name != 'mtl':  # its last window starts elsewhere
    for field in FIELDS:
      np.testing.assert_allclose(
          getattr(rows, field)[-1], getattr(whole, field)[-1], atol=1e-5
      )


def test_frame_scores_are_rows_without_smoothing(
    root, predictors, postprocessing, videos
):
  stored = prediction_files.read(evaluation.file(root / 'frame', made.SPLIT))
  plain = postprocessing_files.read(postprocessing)
  plain = postprocess.dataclasses.replace(
      plain,
      smoothing=postprocess.Postprocessing.equal_weights(1).smoothing,
  )
  want = plain.apply([distinct(stored)])
  name, data = next(iter(videos.items()))
  predictor = predictors['frame']
  rows = predictor.frame_scores(predictor.embed(data['faces']))
  want = want.take(want.video == name)
  np.testing.assert_allclose(rows.expression, want.expression, atol=2e-5)
  with pytest.raises(errors.InputError, match='does not score single faces'):
    predictors['mtl'].frame_scores(np.zeros((1, 1)))


def test_memory_of_a_track_does_not_grow(predictors):
  for name in NETWORKS:
    predictor = predictors[name]
    track = predictor.track()
    sizes, count = [], 0
    for start in range(0, 600, 50):
      numbers = np.arange(start, start + 50)
      features = np.zeros((50, predictor.feature_dim))
      count += len(track.push(features, numbers, numbers / 30))
      kept = [
          len(plan._features)
          for plan in track._plans
          if plan._features is not None
      ]
      sizes.append(sum(kept) + len(track.rows._frame_index))
    assert max(sizes[1:]) < 60, name
    assert count > 570
    assert count + len(track.finish()) == 600


def test_wrong_pushes_are_refused(predictors):
  predictor = predictors['mtl']
  track = predictor.track()
  x = np.zeros((2, predictor.feature_dim))

  def push_two(first, features=x):
    numbers = np.array([first, first + 1])
    return track.push(features, numbers, numbers / 30)

  push_two(3)
  with pytest.raises(ValueError, match='must increase'):
    push_two(4)
  with pytest.raises(ValueError, match='results of Predictor'):
    push_two(5, x[:, 1:])
  with pytest.raises(errors.InputError, match='frame 6: its features are not'):
    push_two(5, np.where([[False], [True]], np.nan, x))
  assert len(track.finish()) == 2
  with pytest.raises(ValueError, match='finished'):
    push_two(7)


def test_info_identifies_the_bundle(predictors):
  info = predictors['mtl_gru'].info
  assert info['provenance']['temporal'][0]['run'] == 'mtl_gru'
  assert set(info['checksums']) == set(storage.FILES)
  assert info['labels']['outputs'] == list(FIELDS)
