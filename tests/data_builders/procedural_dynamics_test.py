"""Labels of the rendered corpus: rates, priors and their relations."""

import numpy as np
import pytest

from abaw_jax.core import labels
from abaw_jax.data_builders.procedural.rendering import (
    dynamics,
    identity,
    video_plan,
)


@pytest.fixture(scope='module')
def tracks() -> dict[str, list[dynamics.Track]]:
  """Returns the tracks of a corpus of the default size, without rendering."""
  out = {split: [] for split in labels.SPLITS}
  for video in video_plan.make(videos=220, frames=90, seed=0):
    who = identity.sample(np.random.default_rng([*video.key, 0]))
    out[video.split].append(dynamics.simulate(video, who))
  return out


def joined(tracks: list[dynamics.Track], field: str) -> np.ndarray:
  return np.concatenate([getattr(track, field) for track in tracks])


def test_labels_are_missing_at_the_published_rates(tracks):
  for split, rates, all_three in (
      ('train', (0.73, 0.64, 0.73), 0.37),
      ('validation', (1.0, 0.57, 1.0), 0.57),
      ('test', (1.0, 1.0, 1.0), 1.0),
  ):
    labelled = joined(tracks[split], 'labelled')
    np.testing.assert_allclose(labelled.mean(0), rates, atol=0.06)
    np.testing.assert_allclose(labelled.all(1).mean(), all_three, atol=0.06)
    assert (~labelled).all(1).any() == (split == 'train')


def test_neighbouring_frames_miss_the_same_labels(tracks):
  for track in tracks['train']:
    changes = (np.diff(track.labelled.astype(int), axis=0) != 0).any(1).sum()
    assert changes <= 2 + len(track.frame_id) / 6


def test_class_priors_shift_between_train_and_validation(tracks):
  for split in labels.SPLITS:
    usable = joined(tracks[split], 'labelled')[:, 1]
    ids = joined(tracks[split], 'expression')[usable]
    share = np.bincount(ids, minlength=8) / len(ids)
    np.testing.assert_allclose(share, video_plan.PRIORS[split], atol=0.06)


def test_every_class_and_unit_occurs_in_every_split(tracks):
  for split in labels.SPLITS:
    usable = joined(tracks[split], 'labelled')
    ids = joined(tracks[split], 'expression')[usable[:, 1]]
    assert set(ids.tolist()) == set(range(labels.NUM_EXPRESSIONS))
    assert joined(tracks[split], 'au')[usable[:, 2]].any(0).all()


def test_unit_rates_are_near_the_published_ones(tracks):
  real = (
      0.18,
      0.08,
      0.20,
      0.30,
      0.40,
      0.37,
      0.26,
      0.02,
      0.03,
      0.05,
      0.68,
      0.10,
  )
  share = joined(tracks['train'], 'au').mean(0)
  np.testing.assert_allclose(share, real, atol=0.1)


def test_units_and_affect_follow_the_emotion(tracks):
  train = tracks['train']
  ids, au = joined(train, 'expression'), joined(train, 'au')
  valence, arousal = joined(train, 'valence'), joined(train, 'arousal')

  def rate(name: str, unit: int) -> float:
    of_class = ids == labels.EXPRESSIONS.index(name)
    return au[of_class, labels.AU_NUMBERS.index(unit)].mean()

  for name, unit in (
      ('Happiness', 12),
      ('Happiness', 6),
      ('Sadness', 1),
      ('Surprise', 2),
      ('Surprise', 26),
      ('Anger', 4),
      ('Disgust', 10),
      ('Fear', 1),
  ):
    assert rate(name, unit) > 2 * rate('Neutral', unit) + 0.2

  def mean(values: np.ndarray, name: str) -> float:
    return values[ids == labels.EXPRESSIONS.index(name)].mean()

  assert mean(valence, 'Happiness') > 0.3 > 0 > mean(valence, 'Sadness')
  assert mean(arousal, 'Surprise') > mean(arousal, 'Neutral') + 0.2


def test_affect_has_inertia(tracks):
  for track in tracks['validation']:
    close = np.diff(track.frame_id) <= 2
    steps = np.abs(np.diff(track.valence))[close]
    assert steps.mean() < 0.1 * (np.ptp(track.valence) + 0.5)


def test_a_lag_settles_on_its_target():
  target = np.ones((90, 2))
  target[:30] = 0
  seen = dynamics.follow(target, 0.25)
  assert (seen[:30] == 0).all()
  assert (np.diff(seen[30:], axis=0) > 0).all()
  np.testing.assert_allclose(seen[-1], 1 - np.exp(-60 / 7.5), atol=1e-12)


def test_random_paths_have_unit_deviation_and_the_given_memory():
  paths = dynamics.wander(np.random.default_rng(0), (4000, 40), 0.5)
  np.testing.assert_allclose(paths.std(), 1, atol=0.05)
  later = np.mean(paths[15:] * paths[:-15])
  np.testing.assert_allclose(later, np.exp(-1), atol=0.05)


@pytest.mark.parametrize('videos', [3, 4, 9, 50, 389])
def test_split_sizes_keep_the_ratio(videos):
  sizes = video_plan.split_sizes(videos)
  assert sum(sizes.values()) == videos
  assert min(sizes.values()) >= 1
  if videos == 389:
    assert sizes == {'train': 257, 'validation': 50, 'test': 82}
