"""The best weights of each part: which are kept, also after kills."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.checkpoints import task_bests
from abaw_jax.core import errors
from abaw_jax.distributed import sharding

PARTS = {
    'valence': 'CCC_valence',
    'arousal': 'CCC_arousal',
    'expression': 'EXPR',
    'au': 'AU',
}


def save(bests, step, *scores, checkpoint=None):
  """Saves weights with the value `step`, and scores of V, A, EXPR and AU."""
  weights = {'w': jnp.full(3, float(step))}
  scores = dict(zip(PARTS.values(), scores, strict=True))
  bests.save(step, weights, scores, checkpoint=checkpoint)


def kept(workdir) -> set[int]:
  """Returns the steps whose weights are on disk."""
  folder = workdir / task_bests.FOLDER
  return {int(path.name) for path in folder.iterdir() if path.name.isdigit()}


def steps_of(bests) -> list[int]:
  return [best.step for best in bests.values()]


def test_every_part_has_its_own_best(tmp_path):
  bests = task_bests.TaskBests(tmp_path, PARTS)
  save(bests, 1, -0.5, 0.1, 0.2, 0.3)
  save(bests, 2, -0.6, 0.4, 0.2, 0.1, checkpoint=1)  # equal is not better
  save(bests, 3, -0.7, 0.0, 0.1, 0.1, checkpoint=2)
  save(bests, 4, math.nan, 0.1, 0.9, 0.1, checkpoint=3)
  bests.prune(4)
  assert steps_of(bests.bests()) == [1, 2, 4, 1]
  assert kept(tmp_path) == {1, 2, 4}
  bests.close()
  found = task_bests.read(tmp_path)
  assert found == {
      'valence': (-0.5, 1),
      'arousal': (0.4, 2),
      'expression': (0.9, 4),
      'au': (0.3, 1),
  }
  summary = task_bests.summary(found, 1.15)
  assert summary.endswith('total 1.1500 with 3 networks')
  shapes = {
      'w': jax.ShapeDtypeStruct(
          (3,),
          jnp.float32,
          sharding=sharding.replicated(sharding.make_mesh(fsdp=1)),
      )
  }
  loaded = task_bests.load(tmp_path, 2, shapes)
  np.testing.assert_array_equal(loaded['w'], 2.0)


def test_a_run_killed_between_both_saves_finds_its_best_weights(tmp_path):
  bests = task_bests.TaskBests(tmp_path, PARTS)
  save(bests, 10, 0.1, 0.1, 0.1, 0.1)
  # Every part is better, but a kill comes before the checkpoint of step 20.
  save(bests, 20, 0.2, 0.2, 0.2, 0.2, checkpoint=10)
  assert kept(tmp_path) == {10, 20}
  bests.close()
  bests = task_bests.TaskBests(tmp_path, PARTS)
  bests.forget_after(10)
  assert steps_of(bests.bests()) == [10] * 4
  save(bests, 20, 0.2, 0.2, 0.2, 0.2, checkpoint=10)
  save(bests, 30, 0.3, 0.1, 0.1, 0.1, checkpoint=20)
  assert kept(tmp_path) == {20, 30}
  # An incomplete save is removed.
  bests.close()
  (tmp_path / task_bests.FOLDER / '40.orbax-checkpoint-tmp').mkdir()
  again = task_bests.TaskBests(tmp_path, PARTS)
  assert steps_of(again.bests()) == [30, 20, 20, 20]
  again.close()


def test_at_most_one_network_of_each_part_is_kept(tmp_path):
  bests = task_bests.TaskBests(tmp_path, PARTS)
  rng = np.random.default_rng(0)
  most = 0
  for step in range(1, 9):
    save(bests, step, *rng.random(4).tolist(), checkpoint=step - 1 or None)
    most = max(most, len(kept(tmp_path)))
  bests.prune(8)
  assert len(kept(tmp_path)) <= 4
  assert most <= 8
  bests.close()


def test_missing_weights_are_named(tmp_path):
  assert task_bests.read(tmp_path) == {}
  with pytest.raises(errors.InputError, match='no best weights of au'):
    task_bests.best_step({}, 'au', tmp_path)
