"""Rendered faces: effects of action units, people, light and camera."""

import dataclasses

import cv2
import numpy as np
import pytest

from abaw_jax.core import errors, labels
from abaw_jax.data_builders.procedural import sheet
from abaw_jax.data_builders.procedural.rendering import (
    bust,
    camera,
    canvas,
    dynamics,
    emotion,
    identity,
    painter,
    scene,
    video_plan,
)
from abaw_jax.data_builders.procedural.rendering import face as face_lib
from tests.core import disks

UPPER = (1, 2, 4, 6, 7)  # move brows and eyes
LOWER = (10, 12, 15, 23, 24, 25, 26)  # move the mouth
SPLIT = 66  # row of the crop between the eyes and the lips


@pytest.fixture(scope='module')
def people() -> list[bust.Bust]:
  return [
      bust.build(identity.sample(np.random.default_rng([8, i])))
      for i in range(4)
  ]


def change(person: bust.Bust, unit: int, size: float) -> np.ndarray:
  """Returns the change of each pixel from the neutral face, [112, 112]."""
  units = np.zeros(len(emotion.AUS))
  still = sheet.portrait(person, units).astype(float)
  units[emotion.AUS.index(unit)] = size
  return np.abs(sheet.portrait(person, units) - still).mean(-1)


@pytest.mark.parametrize('unit', emotion.AUS)
def test_a_unit_moves_its_own_part_of_the_face(people, unit):
  moved = np.mean([change(p, unit, 1.0) for p in people], axis=0)
  above, below = moved[:SPLIT].sum(), moved[SPLIT:].sum()
  assert above + below > 500
  if unit in UPPER:
    assert above > 3 * below
  if unit in LOWER:
    assert below > 3 * above


@pytest.mark.parametrize('unit', labels.AU_NUMBERS)
def test_more_of_a_unit_moves_more(people, unit):
  for person in people:
    sizes = [change(person, unit, s).sum() for s in (0.0, 0.35, 0.7, 1.0)]
    assert sizes[0] == 0
    assert (np.diff(sizes) > 0).all()


def test_people_look_different(people):
  faces = [sheet.portrait(p, np.zeros(len(emotion.AUS))) for p in people]
  for i, a in enumerate(faces):
    for b in faces[i + 1 :]:
      assert np.abs(a.astype(float) - b).mean() > 5


def test_light_from_the_right_brightens_the_right(people):
  plain = np.zeros(len(emotion.AUS))
  centre = slice(canvas.GRID // 4, 3 * canvas.GRID // 4)
  for person in people:
    shades = [
        person.relief.shade(plain, np.array([x, 0, 0.5, 0.5]))[centre, :, 1]
        for x in (-0.4, 0.4)
    ]
    half = canvas.GRID // 2
    left, right = shades[1][:, :half].mean(), shades[1][:, half:].mean()
    assert right > left
    # A lamp on the other side mirrors the light, except for hair and lines.
    np.testing.assert_allclose(
        shades[0][:, :half].mean(), shades[1][:, half:].mean(), rtol=0.02
    )


@pytest.fixture(scope='module')
def shot() -> dict:
  video = video_plan.make(videos=3, frames=12, seed=0)[0]
  who = identity.sample(np.random.default_rng(3))
  place = scene.sample(np.random.default_rng(3))
  track = dynamics.simulate(video, who)
  first = camera.shots(place, track, np.random.default_rng(3))[0]
  return {'who': who, 'place': place, 'first': first}


def render(shot: dict, **changes) -> np.ndarray:
  still = {
      'pose': np.zeros(3),
      'shift': np.zeros(2),
      'gain': 1.0,
      'blur': 0.0,
      'smear': 0.0,
      'covered': False,
  }
  taken = dataclasses.replace(shot['first'], **{**still, **changes})
  person = bust.build(shot['who'])
  units = np.zeros(len(emotion.AUS))
  face = face_lib.build(shot['who'], units, np.zeros(2), 0.0)
  image = painter.paint(person, face, units, taken.lamp, np.ones(3))
  return camera.take(
      image,
      person.relief.depth,
      np.array(shot['who'].skin),
      shot['place'],
      taken,
  )


def test_the_nose_of_a_turned_head_moves_more_than_the_cheeks(shot):
  flow = cv2.phaseCorrelate(
      *(
          cv2.cvtColor(
              render(shot, pose=np.array([yaw, 0, 0])), cv2.COLOR_RGB2GRAY
          )[56:80, 40:72].astype(np.float32)
          for yaw in (-6.0, 6.0)
      )
  )[0]
  # 12 degrees of yaw move the middle of a face, about 34 pixels deep, by 7 pixels.
  assert 3 < flow[0] < 12
  assert abs(flow[1]) < 1.5


def test_blur_smear_and_darkness_change_a_frame(shot):
  sharp = cv2.Laplacian(render(shot), cv2.CV_64F).std()
  assert cv2.Laplacian(render(shot, blur=2.5), cv2.CV_64F).std() < 0.6 * sharp
  assert cv2.Laplacian(render(shot, smear=4.0), cv2.CV_64F).std() < 0.9 * sharp
  assert render(shot, gain=0.4).mean() < 0.6 * render(shot).mean()


@pytest.mark.parametrize('kind', ['hand', 'microphone', 'border', 'lock'])
def test_an_occluder_hides_a_part_of_the_face(shot, kind):
  place = {**shot, 'place': dataclasses.replace(shot['place'], occluder=kind)}
  free = render(place).astype(float)
  hidden = render(place, covered=True, place=np.zeros(2))
  touched = (np.abs(free - hidden).mean(-1) > 12).mean()
  assert 0.01 < touched < 0.5


def test_the_sheet_is_a_small_png(tmp_path):
  path = tmp_path / 'sheet.png'
  sheet.write(path, seed=0)
  rows = labels.NUM_EXPRESSIONS + labels.NUM_AUS // sheet.PEOPLE
  assert cv2.imread(str(path)).shape[0] == 96 * rows
  assert path.stat().st_size < 400_000
  old = path.read_bytes()
  with disks.full(1000), pytest.raises(errors.InputError, match='cannot write'):
    sheet.write(path, seed=1)
  assert path.read_bytes() == old
  for wrong in (tmp_path / 'sheet.gif', tmp_path / 'none' / 'sheet.png'):
    with pytest.raises(errors.InputError, match='name a'):
      sheet.write(wrong, seed=0)
