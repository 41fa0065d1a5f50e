"""Learning from synthetic data: loss, six-way layer, scores and blend."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk_metrics
import torch

from abaw_jax.challenge import submission
from abaw_jax.checkpoints import weights as weight_folders
from abaw_jax.core import labels
from abaw_jax.data import label_counts
from abaw_jax.distributed import sharding
from abaw_jax.inference import evaluation
from abaw_jax.postprocessing import blending
from abaw_jax.scoring import intervals, predictions
from abaw_jax.steps import steps
from abaw_jax.tasks import classifier, registry
from tests.conversion import identification_test
from tests.inference import zero_shot_test
from tests.training import runs

tiny = identification_test._tiny
# Images of Anger, Disgust, Fear, Happiness, Sadness, Surprise in the release.
COUNTS = np.array([18286, 15150, 10923, 73285, 144631, 14976])
WEIGHTS = [2.527, 3.050, 4.230, 0.6305, 0.3195, 3.0855]
IDS = list(labels.scored_expressions(['lsd']))
DATA = {'lsd/frames': {}}


def make_loss(config):
  counts = np.zeros(8, int)
  counts[IDS] = COUNTS
  none = np.zeros(12, int)
  return classifier.LsdTask.make_loss(
      config, label_counts.LabelCounts(counts, none, none)
  )


@pytest.fixture(name='task')
def _task(tmp_path) -> classifier.LsdTask:
  """Returns the task with the weights of the published counts."""
  config = runs.smoke('lsd', tmp_path)
  task = registry.make_task(config)
  return dataclasses.replace(task, loss_fn=make_loss(config))


def labelled_batch(expression):
  expression = np.array(expression)
  rows = np.ones(len(expression), bool)
  batch = {'expression': expression, 'expr': rows, 'va': ~rows}
  return jax.tree.map(jnp.asarray, batch)


def test_class_weights_are_the_published_ones(task):
  np.testing.assert_allclose(task.loss_fn.class_weights, WEIGHTS, rtol=2e-4)


def test_the_loss_is_that_of_pytorch_on_six_logits(task):
  rng = np.random.default_rng(0)
  logits = rng.normal(0, 3, (64, 6)).astype(np.float32)
  codes = rng.integers(0, 6, 64)
  batch = labelled_batch(np.array(IDS)[codes])
  loss, _ = task.compare({'logits': jnp.asarray(logits)}, batch)
  weight = torch.tensor(COUNTS.mean() / COUNTS).float()
  each = torch.nn.CrossEntropyLoss(
      weight=weight, label_smoothing=0.1, reduction='none'
  )(torch.tensor(logits), torch.tensor(codes))
  # PyTorch's own mean divides by the sum of the weights.
  np.testing.assert_allclose(loss, each.mean(), rtol=1e-5)


def test_a_weight_belongs_to_its_row_by_hand(task):
  # Probabilities of 1/2 and 1/10: Sadness is right, and Fear is wrong.
  logits = np.zeros((2, 6), np.float32)
  logits[0, 4] = np.log(5)
  logits[1, 5] = np.log(5)
  batch = labelled_batch([IDS[4], IDS[2]])
  w = COUNTS.mean() / COUNTS
  log_p = np.log(np.where(logits > 0, 0.5, 0.1))
  q = 0.9 * np.eye(6)[[4, 2]] + 0.1 / 6
  by_row = -(w * q * log_p).sum(axis=-1)
  loss, _ = task.compare({'logits': jnp.asarray(logits)}, batch)
  np.testing.assert_allclose(loss, by_row.mean(), rtol=1e-6)
  # The published code of the MTL track: each weight on all rows of the batch.
  plain = -(q * log_p).sum(axis=-1)
  broadcast = np.mean(w[[4, 2]][:, None] * plain[None])
  np.testing.assert_allclose(broadcast, w[[4, 2]].mean() * plain.mean())
  assert abs(broadcast / by_row.mean() - 1) > 0.1


def test_faces_without_one_of_the_six_have_no_loss(task):
  logits = jnp.asarray(np.random.default_rng(1).normal(size=(4, 6)))
  batch = labelled_batch([IDS[1], 0, 7, IDS[4]])  # Neutral and Other
  batch['expr'] = batch['expr'].at[3].set(False)
  loss, _ = task.compare({'logits': logits}, batch)
  first = labelled_batch([IDS[1]])
  want, _ = task.compare({'logits': logits[:1]}, first)
  np.testing.assert_allclose(loss, want, rtol=1e-6)
  probs = jax.nn.one_hot(jnp.array([IDS[1], 0, 7, IDS[4]]), 8)
  soft, _ = task.compare(
      {'logits': logits}, batch | {'expression_probs': probs}
  )
  np.testing.assert_allclose(soft, loss, rtol=1e-6)


@pytest.mark.parametrize('classes', [8, 10])
def test_six_outputs_start_from_a_network_with_others(tmp_path, classes):
  _, folder = zero_shot_test.convert_network(tmp_path, classes)
  config = runs.smoke('lsd', tmp_path)
  config['model'] |= {'backbone': 'efficientnet_b0', 'image_size': 40}
  task = registry.make_task(config)
  image = jnp.zeros((1, 40, 40, 3), jnp.uint8)
  shapes = steps.param_shapes(
      task, {'image': image}, sharding.make_mesh(fsdp=1)
  )
  assert shapes['head']['kernel'].shape[-1] == 6
  found, _ = weight_folders.load(folder, config['model'], shapes)
  assert set(found) == {'backbone', 'batch_stats'}
  own = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes['head'])
  output = task.predict({'head': own} | found, {'image': image})
  assert output['expression'].shape == (1, 8)
  assert np.isneginf(output['expression'][:, [0, 7]]).all()


def rows_of(expression, target, data):
  n = len(target)
  return predictions.Predictions(
      video=np.arange(n).astype(str),
      frame_id=np.zeros(n, int),
      row=np.arange(n),
      expression=expression,
      target_expression=target,
      expr=np.ones(n, bool),
      data=data,
  )


def test_the_score_is_the_macro_f1_of_six_classes():
  rng = np.random.default_rng(2)
  target = rng.choice(IDS, 300)
  # Predictions of another program may have Neutral and Other.
  powers = np.exp(rng.normal(size=(300, 8)) + 1.5 * np.eye(8)[target])
  probs = powers / powers.sum(-1, keepdims=True)
  pred = probs.argmax(-1)
  assert {0, 7} <= set(pred)
  want = sk_metrics.f1_score(
      target, pred, labels=IDS, average='macro', zero_division=0
  )
  rows = rows_of(probs, target, DATA)
  scores = rows.scores()
  np.testing.assert_allclose(scores['EXPR'], want, rtol=1e-12)
  np.testing.assert_allclose(scores['score'], want, rtol=1e-12)
  assert np.isnan([scores['F1_Neutral'], scores['F1_Other']]).all()
  draws = intervals.bootstrap(rows, resamples=200)['EXPR']
  np.testing.assert_allclose(draws.value, want, rtol=1e-12)
  low, high = draws.interval()
  assert low < want < high
  np.testing.assert_allclose(np.mean(draws.draws), want, atol=0.02)
  for data in ({}, {'s_aff_wild2/frames': {}}, DATA | {'raf_db/frames': {}}):
    eight = rows_of(probs, target, data).scores()['EXPR']
    np.testing.assert_allclose(eight, want * 6 / 8, rtol=1e-12)


def test_files_blend_raw_logits():
  rng = np.random.default_rng(3)
  target = rng.choice(IDS, 200)
  pre = rng.normal(0, 3, (200, 10)).astype(np.float32)  # HSE-NN's order
  tuned = rng.normal(0, 3, (200, 6)).astype(np.float32)
  names = (
      'Anger', 'Contempt', 'Disgust', 'Fear', 'Happiness', 'Neutral', 'Sadness',
      'Surprise', 'valence', 'arousal',
  )  # fmt: skip
  lsd = tuple(labels.NATIVE_EXPRESSIONS['lsd'].values())
  members = []
  for logits, order in ((pre, names), (tuned, lsd)):
    ours = classifier.gather(jnp.asarray(logits), order, labels.EXPRESSIONS)
    six = jnp.where(np.isin(range(8), IDS), ours, -jnp.inf)
    probs = np.float64(jax.nn.softmax(six))
    members.append(rows_of(probs, target, DATA))
  for w in (0.0, 0.3, 0.5, 1.0):
    weights = dict.fromkeys(blending.TASKS, np.array([w, 1 - w]))
    found = blending.blend(members, weights).expression[:, IDS]
    z = w * np.float64(pre[:, [0, 2, 3, 4, 6, 7]]) + (1 - w) * tuned
    np.testing.assert_array_equal(found.argmax(-1), z.argmax(-1))
    np.testing.assert_allclose(
        np.log(found) - np.log(found[:, :1]), z - z[:, :1], atol=1e-4
    )


def test_the_file_has_the_largest_logit(tmp_path):
  _, folder = zero_shot_test.convert_network(tmp_path, 10)
  config = evaluation.read_config(folder, data=tmp_path / 'lsd')
  task = registry.make_task(config)
  rng = np.random.default_rng(4)
  colors = rng.integers(0, 256, (20, 1, 1, 3))
  images = np.clip(colors + rng.normal(0, 40, (20, 40, 40, 3)), 0, 255)
  batch = {'image': jnp.asarray(images, jnp.uint8)}
  shapes = steps.param_shapes(task, batch, sharding.make_mesh(fsdp=1))
  params, _ = weight_folders.load(
      folder, config['model'] | {'name': 'convnet'}, shapes
  )
  logits = np.asarray(task.evaluate(params, batch['image'])['logits'])
  rows = task.rows(task.predict(params, batch), batch)
  probs = np.float64(rows['pred_expression'])
  assert not probs[:, [0, 7]].any()
  names = [f'{i}.jpg' for i in range(20)]
  found = rows_of(probs, np.zeros(20, int), DATA)
  found = dataclasses.replace(found, video=np.array(names))
  submission.write_lsd(tmp_path / 'lsd.txt', names, found)
  lines = (tmp_path / 'lsd.txt').read_text().split()[1:]
  codes = [int(line.split(',')[1]) for line in lines]
  six = logits[:, [0, 2, 3, 4, 6, 7]]
  assert codes == six.argmax(-1).tolist()
  assert codes != six.argmin(-1).tolist()  # as in two published files
