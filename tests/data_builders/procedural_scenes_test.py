"""Rendered scenes: the truth agrees with the pixels, stories, cuts, files."""

import csv
import itertools
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from abaw_jax import video
from abaw_jax.core import errors, labels
from abaw_jax.data_builders.procedural import alignment
from abaw_jax.data_builders.procedural.rendering import (
    camera,
    canvas,
    dynamics,
    relief,
    scene,
    video_plan,
)
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from abaw_jax.data_builders.procedural.rendering import identity as identity_lib
from abaw_jax.data_builders.procedural.scenes import (
    filming,
    plan,
    story,
    writer,
)
from abaw_jax.faces import alignment as face_alignment
from abaw_jax.faces import boxes, detectors
from abaw_jax.video import clips

POSES = [(-15, 8), (17, 3), (0, -6)]


def person(number: int) -> identity_lib.Identity:
  return identity_lib.sample(np.random.default_rng([number, 1]))


@pytest.fixture(scope='module')
def alone() -> list[filming.Picture]:
  """One person who leaves and returns, then comes near."""
  return list(filming.film(plan.make(1, 7, 1, 3)[0])[1])


@pytest.fixture(scope='module')
def pair() -> list[filming.Picture]:
  """Two people who cross each other."""
  return list(filming.film(plan.make(1, 4, 2, 3)[0])[1])


@pytest.mark.parametrize(('yaw', 'pitch'), POSES)
def test_projected_points_are_where_the_turned_picture_shows_them(yaw, pitch):
  depth = relief.build(person(0)).depth
  pose = np.array([yaw, pitch, 5.0])
  for x, y in ((40.0, 49.0), (72.0, 49.0), (56.0, 66.0), (44.0, 83.0)):
    image = canvas.blank()
    canvas.disc(image, (255, 255, 255), np.array([x, y]), 1.5)
    for zoom, shift in ((1.12, (0.0, 0.0)), (1.4, (3.2, -2.1))):
      shift = np.array(shift)
      shown = camera.turn(image, depth, pose, shift, zoom)[..., 0]
      rows, columns = np.indices(shown.shape) + 0.5
      weight = shown / shown.sum(dtype=float)
      centre = (columns * weight).sum(), (rows * weight).sum()
      want = camera.project(np.array([(x, y)]), depth, pose, shift, zoom)[0]
      np.testing.assert_allclose(centre, want, atol=0.35)


def test_a_frontal_head_is_only_scaled_and_shifted():
  depth = relief.build(person(0)).depth
  points = np.array([(40.0, 49.0), (60.0, 80.0)])
  shown = camera.project(points, depth, np.zeros(3), np.array([2, 3]), 1.5)
  want = 1.5 * (points + 1 / 3 - (56, 64)) + (56, 60) + (2, 3)
  np.testing.assert_allclose(shown, want)


@pytest.mark.parametrize(
    ('domain', 'zoom'), [('photo', 1.12), ('synthetic', 1.2)]
)
def test_the_template_is_the_mean_of_frontal_faces(domain, zoom, tmp_path):
  found = []
  for planned in video_plan.make(
      24, 12, 7, domains=video_plan.in_domain(domain)
  ):
    who = identity_lib.sample(np.random.default_rng([*planned.person, 0]))
    if domain == 'synthetic':
      who = identity_lib.retouched(who)
    track = dynamics.simulate(planned, who)
    for units in track.units[::2]:
      face = face_lib.build(who, units, np.zeros(2), 0.0)
      found.append(zoom * (face_lib.landmarks(face) - (56, 64)) + (56, 60))
  alignment.write(tmp_path, domain)
  values = json.loads((tmp_path / 'alignment.json').read_text())
  np.testing.assert_allclose(
      alignment.DRAWN[domain], np.mean(found, 0), atol=0.6
  )
  points = face_alignment.Alignment.from_json(values).points
  np.testing.assert_allclose(points, alignment.DRAWN[domain], atol=3)
  assert np.mean(scene.sample(np.random.default_rng(0), domain).zoom) == (
      pytest.approx(zoom, abs=0.06)
  )


def test_the_picture_changes_where_the_truth_says_a_face_is(alone):
  gone = next(i for i, p in enumerate(alone) if p.views[0].visible == 0)
  empty = cv2.blur(alone[gone].image, (5, 5)).astype(int)
  for picture in alone[:gone:10]:
    view = picture.views[0]
    if view.visible < 1:
      continue
    left, top, right, bottom = np.rint(view.box).astype(int)
    gain = picture.image[:20].mean() / empty[:20].mean()
    change = cv2.blur(picture.image, (5, 5)) - gain * empty
    changed = np.abs(change).max(-1) > 18
    assert changed[top:bottom, left:right].mean() > 0.75
    assert changed[: top - 30].mean() < 0.15


def test_an_independent_network_finds_the_landmarks(alone):
  detect = detectors.make_detector('centerface')
  errors_found = []
  for number in (0, 150):
    view = alone[number].views[0]
    (face,) = detect(video.Frame(number, 0.0, alone[number].image, False))
    assert boxes.iou(face.box[None], np.float32(view.box)[None]) > 0.7
    apart = np.hypot(*(face.landmarks - view.landmarks).T)
    errors_found.append(
        apart / np.hypot(*np.diff(view.landmarks[:2], axis=0)[0])
    )
  assert np.mean(errors_found) < 0.12


def test_found_faces_are_cropped_like_the_corpus(alone):
  detect = detectors.make_detector('centerface')
  crop = face_alignment.Alignment(template=alignment.FOUND['photo'])
  drawn = np.array(alignment.DRAWN['photo'])
  misses = []
  for number in (0, 150, 200):
    true = alone[number].views[0].landmarks
    (face,) = detect(video.Frame(number, 0.0, alone[number].image, False))
    matrix = face_alignment.similarity(face.landmarks, crop.points)
    misses.append(true @ matrix[:, :2].T + matrix[:, 2] - drawn)
  assert np.hypot(*np.mean(misses, 0).T).mean() < 3


def test_a_person_leaves_and_returns_in_one_shot(alone):
  seen = [p.views[0].visible for p in alone if p.shot == 0]
  assert seen[0] == seen[-1] == 1
  away = np.flatnonzero(np.array(seen) == 0)
  assert len(away) > 5
  assert (np.diff(away) == 1).all()
  box = alone[away[0]].views[0].box
  assert box[2] < 0 or box[0] > story.WIDTH


def test_a_person_comes_near_and_goes_away(alone):
  size = [np.ptp(p.views[0].box[[0, 2]]) for p in alone if p.shot == 1]
  assert max(size) > 1.8 * max(size[0], size[-1])


def test_the_picture_jumps_at_cuts_only(alone):
  small = [
      cv2.resize(p.image, (32, 18), None, 0, 0, cv2.INTER_AREA) for p in alone
  ]
  # Colours without the exposure, which may jump too.
  small = [s / s.mean() for s in small]
  step = np.array([np.abs(a - b).mean() for a, b in itertools.pairwise(small)])
  cuts = np.flatnonzero(np.diff([p.shot for p in alone]))
  assert len(cuts) == 1
  assert step.argmax() == cuts[0]
  assert step[cuts[0]] > 3 * np.delete(step, cuts).max()


def test_people_cross_and_the_nearer_one_hides_the_other(pair):
  x = np.array([[v.box[0] for v in sorted(p.views)] for p in pair])
  assert (x[0, 0] < x[0, 1]) != (x[-1, 0] < x[-1, 1])
  hidden = min(pair, key=lambda p: min(v.visible for v in p.views))
  far, near = sorted(hidden.views, key=lambda v: v.box[3] - v.box[1])
  assert far.visible < 0.3
  assert near.visible == 1
  for view in pair[0].views:
    assert view.visible == 1


def test_people_of_scenes_are_in_no_corpus():
  cast = [v for s in plan.make(6, 2, None, 0) for v in s.cast]
  assert [len(s.cast) for s in plan.make(6, 2, None, 0)] == [1, 2, 3, 1, 2, 3]
  people = {v.person for v in cast}
  assert len(people) == len(cast)
  for domain in scene.DOMAINS:
    made = video_plan.make(12, 8, 0, domains=video_plan.in_domain(domain))
    assert not people & {v.person for v in made}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  out = tmp_path_factory.mktemp('scenes') / 'one'
  args = {'scenes': 1, 'seconds': 1.0, 'people': 2, 'seed': 5, 'workers': 1}
  writer.write(out, **args)
  return out, args


def test_a_clip_has_a_row_for_each_frame_and_person(folder):
  out, _ = folder
  with (out / 'scene000.truth.csv').open() as file:
    table = list(csv.DictReader(file))
  with clips.open_clip(out / 'scene000.webm') as clip:
    frames = list(clip)
  assert len(frames) == 30
  assert len(table) == 60
  assert {row['person'] for row in table} == {'0', '1'}
  for row in table:
    frame = frames[int(row['frame'])]
    assert frame.timestamp == pytest.approx(float(row['timestamp']), abs=1e-3)
    assert row['expression'] in labels.EXPRESSIONS
    assert {row[f'AU{n:02d}'] for n in labels.AU_NUMBERS} <= {'0', '1'}
    assert -1 <= float(row['valence']) <= 1
  drawn = next(iter(filming.film(plan.make(1, 1.0, 2, 5)[0])[1])).image
  assert np.abs(frames[0].image.astype(int) - drawn).mean() < 6


def test_the_same_seed_gives_the_same_clip(folder, tmp_path):
  out, args = folder
  for name, seed in (('again', 5), ('other', 6)):
    writer.write(tmp_path / name, **{**args, 'seed': seed})
    for file in ('scene000.webm', 'scene000.truth.csv'):
      same = (tmp_path / name / file).read_bytes() == (out / file).read_bytes()
      assert same == (seed == 5), file
  assert 'nothing to do' in writer.write(out, **args)


def test_wrong_input_names_the_fix(folder):
  out, args = folder
  with pytest.raises(errors.InputError, match='choose another --out'):
    writer.write(out, **{**args, 'seed': 1})
  done = subprocess.run(
      [sys.executable, '-m', 'data_builders.procedural', '--people=2', '--out=x'],
      capture_output=True, text=True, check=False,
  )  # fmt: skip
  assert done.returncode == 2
  assert done.stderr == 'error: --people works with --scenes only; remove it\n'
