"""The two domains of rendered faces: people, class balance, look, domain shift."""

import itertools
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from sklearn import decomposition, discriminant_analysis, pipeline

from abaw_jax.core import errors, labels
from abaw_jax.data_builders.procedural import corpus, sheet, stills
from abaw_jax.data_builders.procedural.rendering import (
    emotion,
    film,
    scene,
    video_plan,
)

# Images of the LSD challenge per class: anger, disgust, fear, happiness, sadness,
# surprise.
LSD_COUNTS = {
    'synthetic': (18286, 15150, 10923, 73285, 144631, 14976),
    'photo': (804, 252, 523, 1714, 774, 603),
}


def plan(domain: str, videos: int, frames: int, seed: int = 0) -> list:
  domains = video_plan.in_domain(domain)
  return video_plan.make(videos, frames, seed, domains=domains, basic=True)


def test_no_person_is_in_two_domains_or_splits():
  people = [
      {video.person for video in plan(domain, 40, 8) if video.split == split}
      for domain in scene.DOMAINS
      for split in video_plan.VIDEOS
  ]
  assert len(set().union(*people)) == sum(map(len, people))


def test_synthetic_videos_share_people_but_no_emotions():
  videos = plan('synthetic', 40, 8)
  people = [video.person for video in videos]
  assert len({video.key for video in videos}) == 40
  assert len(set(people)) == 11  # 27, 5 and 8 videos: 7, 2 and 2 people
  for left, right in itertools.pairwise(videos):
    if right.name.endswith('_right'):
      assert left.person != right.person


@pytest.mark.parametrize('domain', scene.DOMAINS)
def test_class_balance_is_that_of_the_lsd_challenge(domain):
  segments = [s for video in plan(domain, 600, 80) for s in video.segments]
  counts = np.bincount([s.expression for s in segments], minlength=8)
  assert counts[[0, 7]].tolist() == [0, 0]
  share = np.array(LSD_COUNTS[domain]) / sum(LSD_COUNTS[domain])
  np.testing.assert_allclose(counts[1:7] / counts.sum(), share, atol=0.002)


def test_a_small_corpus_has_every_basic_expression():
  for domain in scene.DOMAINS:
    for split in ('train', 'validation', 'test'):
      videos = [v for v in plan(domain, 20, 30) if v.split == split]
      shown = {s.expression for v in videos for s in v.segments}
      assert shown == set(range(1, 7))


def pictures(domain: str, acted: np.ndarray) -> np.ndarray:
  """Returns grey pictures [6 people, k, 112, 112] of the given action units."""
  return np.array([
      [
          cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float)
          for _, picture in zip(acted, film.shoot(v, acted).pictures, strict=False)
      ]
      for v in plan(domain, 24, 12)[:6]
  ])  # fmt: skip


def test_synthetic_faces_are_smooth_and_show_the_expressions():
  acted = np.stack([emotion.prototype(name) for name in labels.EXPRESSIONS[:7]])
  detail, change = {}, {}
  for domain in scene.DOMAINS:
    faces = pictures(domain, acted)
    fine = [
        f - cv2.GaussianBlur(f, (0, 0), 1) for f in faces.reshape(-1, 112, 112)
    ]
    detail[domain] = np.std(fine) / faces.std()
    middle = faces[..., 24:100, 24:88]
    change[domain] = np.abs(middle[:, 1:] - middle[:, :1]).mean((0, 2, 3))
  assert detail['synthetic'] < 0.7 * detail['photo']
  assert (change['synthetic'] > 4).all()


def gradients(picture: np.ndarray) -> np.ndarray:
  """Returns a histogram of oriented gradients for each of 14 x 14 cells."""
  grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[14:104, 14:98]
  grey = np.log(20 + cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.5))
  size, angle = cv2.cartToPolar(
      cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
  )
  part = (angle / np.pi * 8).astype(int) % 8
  cells = np.stack(
      [
          cv2.resize(size * (part == k), (14, 14), interpolation=cv2.INTER_AREA)
          for k in range(8)
      ],
      -1,
  )
  norm = np.sqrt(cv2.blur((cells**2).sum(-1), (3, 3))) + 0.05 * cells.max()
  return np.sqrt(cells / norm[..., None]).ravel()


def accuracies(videos: int, seed: int) -> dict[str, dict[str, float]]:
  """Returns accuracies by domain of training, then domain of unseen people.

  Everybody shows each of the six basic expressions once, so that domains differ
  only in their look and their people.
  """
  rng = np.random.default_rng(seed)
  sets = {}
  for domain in scene.DOMAINS:
    for video in plan(domain, videos, 14, seed):
      acted = np.stack([
          rng.uniform(0.6, 1.1) * emotion.apex(name, rng)
          for name in labels.EXPRESSIONS[1:7]
      ])  # fmt: skip
      faces, classes = sets.setdefault(
          (domain, video.split == 'train'), ([], [])
      )
      shown = itertools.islice(film.shoot(video, acted).pictures, 6)
      faces.extend(map(gradients, shown))
      classes.extend(range(6))
  scores = {}
  for source in scene.DOMAINS:
    model = pipeline.make_pipeline(
        decomposition.PCA(80, random_state=0),
        discriminant_analysis.LinearDiscriminantAnalysis(
            solver='lsqr', shrinkage=0.2
        ),
    ).fit(*sets[source, True])
    scores[source] = {
        target: model.score(*sets[target, False]) for target in scene.DOMAINS
    }
  return scores


def test_a_classifier_of_one_domain_is_worse_in_the_other():
  scores = accuracies(videos=24, seed=0)
  for source in scene.DOMAINS:
    for target in scene.DOMAINS:
      assert scores[source][target] > 0.4  # chance is 0.17
      if source != target:
        assert scores[source][target] < scores[source][source] - 0.02
        assert scores[source][target] < scores[target][target] - 0.02


def test_folders_of_people_have_all_their_videos(tmp_path):
  args = {'videos': 12, 'frames': 4, 'seed': 1, 'workers': 1}
  line = stills.write(tmp_path, 'identities', domain='synthetic', **args)
  people = {video.person for video in plan('synthetic', 12, 4, 1)}
  assert len(list((tmp_path / 'people').iterdir())) == len(people) < 12
  faces = len(list(tmp_path.rglob('*.jpg')))
  assert f'{len(people)} people, {faces} faces' in line
  card = json.loads((tmp_path / 'corpus.json').read_text())
  assert card['args']['domain'] == 'synthetic'
  assert sum(card['counts'].values()) == faces
  with pytest.raises(errors.InputError, match='card of another corpus'):
    stills.write(tmp_path, 'identities', **args)


def test_lsd_has_synthetic_faces_in_train_and_photos_elsewhere(tmp_path):
  args = {'videos': 9, 'frames': 5, 'seed': 0, 'workers': 1}
  stills.write(tmp_path / 'both', 'lsd', **args)
  stills.write(tmp_path / 'photo', 'lsd', domain='photo', **args)

  def images(corpus_name: str, folder: str) -> set[bytes]:
    paths = (tmp_path / corpus_name / folder).rglob('*.jpg')
    return {path.read_bytes() for path in paths}

  for folder in ('validation_set_real_images', 'lsd_test_data'):
    assert images('both', folder) == images('photo', folder)
  train = 'training_set_synthetic_images'
  assert not images('both', train) & images('photo', train)


def test_videos_in_the_synthetic_domain(tmp_path):
  args = {'videos': 3, 'frames': 4, 'seed': 0, 'workers': 1}
  corpus.write(tmp_path, domain='synthetic', **args)
  with pytest.raises(errors.InputError, match='card of another corpus'):
    corpus.write(tmp_path, **args)


def test_a_sheet_of_each_domain(tmp_path):
  for domain in scene.DOMAINS:
    sheet.write(tmp_path / f'{domain}.png', seed=0, domain=domain)
    shape = cv2.imread(str(tmp_path / f'{domain}.png')).shape
    assert shape == (6 * 96, 70 + sheet.PEOPLE * 96, 3)


def test_the_command_offers_both_domains(tmp_path):
  done = subprocess.run(
      [
          sys.executable, '-m', 'data_builders.procedural', '--domain=cartoon',
          f'--out={tmp_path / "new"}',
      ],
      capture_output=True,
      text=True,
      check=False,
  )  # fmt: skip
  assert done.returncode == 2
  assert '|'.join(scene.DOMAINS) in done.stderr
