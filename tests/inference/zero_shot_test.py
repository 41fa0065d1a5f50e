"""A converted classifier predicts a dataset as PyTorch and EmotiEffLib's rules do."""

import dataclasses
import io

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
import torch

from abaw_jax.challenge import submission
from abaw_jax.conversion import convert
from abaw_jax.core import errors, labels
from abaw_jax.data import sources
from abaw_jax.inference import evaluation
from abaw_jax.postprocessing import postprocess, tuning
from abaw_jax.reports import predictions as report
from abaw_jax.scoring import intervals, prediction_files
from abaw_jax.tasks import classifier
from tests.conversion import identification_test
from tests.porting.layouts import torch_networks
from tests.scoring import rows

tiny = identification_test._tiny
# The position of each of our expressions but Other in HSE-NN's order.
ABSENT = ('valence', 'arousal', 'au')
GATHER = {8: [5, 0, 2, 3, 4, 6, 7], 7: [4, 0, 1, 2, 3, 5, 6]}


def convert_network(folder, classes):
  """Returns (PyTorch's network with random weights, the converted folder)."""
  twin = identification_test.network(classes=classes)
  torch.save(twin, folder / 'net.pth')
  convert.import_weights(
      folder / 'net.pth', folder / 'net', preprocessing='emotiefflib'
  )
  return twin, folder / 'net'


def original(twin, data_dir):
  """Returns PyTorch's logits by row, on Pillow's images."""
  size = identification_test.SIZE
  found = {}
  for record in sources.Records(
      data_dir, 's_aff_wild2', 'frames', 'validation'
  ):
    image = Image.open(io.BytesIO(record['image'])).convert('RGB')
    face = image.resize((size, size), Image.Resampling.BILINEAR)
    face = np.asarray(face)[None] / np.float32(255)
    mean, std = map(np.float32, identification_test.IMAGENET)
    with torch.no_grad():
      pixels = torch_networks.to_torch((face - mean) / std)
      found[int(record['row'])] = twin(pixels)['logits'].numpy()[0]
  return found


@pytest.mark.parametrize('classes', [7, 8, 10])
def test_predictions_are_those_of_pytorch(data_dir, tmp_path, classes):
  twin, folder = convert_network(tmp_path, classes)
  data = data_dir / 's_aff_wild2'
  scores = evaluation.evaluate(folder, 'validation', data=data)
  found = prediction_files.read(
      evaluation.file(folder, 'validation', data=data)
  )
  logits = original(twin, data_dir)
  logits = np.stack([logits[row] for row in found.row])
  named = np.exp(logits[:, GATHER[min(classes, 8)]].astype(np.float64))
  want = named / named.sum(-1, keepdims=True)
  np.testing.assert_allclose(found.expression[:, :7], want, atol=1e-4)
  assert not found.expression[:, 7].any()
  assert not found.predicts('au')
  assert found.predicts('va') == (classes == 10)
  if classes == 10:
    np.testing.assert_allclose(found.valence, logits[:, 8], atol=1e-4)
    np.testing.assert_allclose(found.arousal, logits[:, 9], atol=1e-4)
  assert found.labelled
  assert np.isnan(scores['AU'])
  if classes == 8:
    evaluation.evaluate(folder, 'validation', data=data, contempt='other')
    found = prediction_files.read(
        evaluation.file(folder, 'validation', data=data)
    )
    named = np.exp(logits[:, [*GATHER[8], 1]].astype(np.float64))
    want = named / named.sum(-1, keepdims=True)
    np.testing.assert_allclose(found.expression, want, atol=1e-4)
  assert np.isnan(scores['VA']) == (classes != 10)
  parts = [scores['EXPR']] + [scores['VA']] * (classes == 10)
  assert scores['score'] == pytest.approx(sum(parts))
  assert intervals.bootstrap(found)['EXPR'].value == scores['EXPR']
  for name in ('rows.csv', 'rows.parquet', 'rows.npz'):
    prediction_files.write(tmp_path / name, found)
    again = prediction_files.read(tmp_path / name)
    np.testing.assert_allclose(again.expression, found.expression)
    assert not again.predicts('au')
    assert again.predicts('va') == (classes == 10)
  header = (tmp_path / 'rows.csv').read_text().splitlines()[0]
  header = header.replace('"', '').split(',')
  assert {'expr_Anger', 'label_AU01'} <= set(header)
  assert not set(labels.AU_NAMES) & set(header)
  assert ('valence' in header) == (classes == 10)


def test_models_are_blended_in_the_tasks_that_they_predict(rows_of_two):
  main, zero = rows_of_two
  for members in ([main, zero], [zero, main]):
    equal = postprocess.Postprocessing.equal_weights(2).apply(members)
    np.testing.assert_allclose(equal.au, main.au)
    np.testing.assert_allclose(equal.valence, main.valence)
    assert np.abs(equal.expression - main.expression).max() > 0.01
    tuned = tuning.tune(members, tuning.Settings(), groups=2)
    assert np.isfinite(tuned.cross_fitted.scores()['P_MTL'])
  alone = tuning.tune([zero], tuning.Settings(), groups=2)
  assert np.isnan(alone.cross_fitted.scores()['AU'])
  assert np.isfinite(alone.cross_fitted.scores()['EXPR'])


@pytest.fixture(name='rows_of_two')
def _rows_of_two():
  """Returns predictions of all tasks, and of only expressions."""
  main = rows.make()
  zero = rows.make(seed=1)
  absent = {k: np.full_like(getattr(zero, k), np.nan) for k in ABSENT}
  return main, dataclasses.replace(zero, **absent)


def test_a_submission_needs_all_tasks(rows_of_two, tmp_path):
  with pytest.raises(errors.InputError, match='predicts no valence'):
    submission.write(tmp_path / 'mtl.txt', [], rows_of_two[1])


def test_the_confidence_filter_takes_a_second_network_of_expressions(
    rows_of_two, tmp_path
):
  names = [tmp_path / 'main.npz', tmp_path / 'zero.npz']
  for name, one in zip(names, rows_of_two, strict=True):
    prediction_files.write(name, one)
  result, _ = report.blend_filtered(
      names[:1],
      postprocess.Postprocessing.equal_weights(1),
      report.Filter(names[1], 0.5),
  )
  main = prediction_files.read(names[0])
  zero = prediction_files.read(names[1])
  order = np.argsort(main.row)
  sure = zero.expression[order, :7].max(-1) > 0.5
  assert 0 < sure.mean() < 1
  np.testing.assert_array_equal(
      result.expression[sure].argmax(-1),
      zero.expression[order][sure, :7].argmax(-1),
  )
  np.testing.assert_allclose(
      result.expression[~sure], main.expression[order][~sure]
  )


def test_logits_are_gathered_as_published():
  order = (
      'Anger', 'Contempt', 'Disgust', 'Fear', 'Happiness', 'Neutral', 'Sadness',
      'Surprise', 'valence', 'arousal',
  )  # fmt: skip
  lsd = tuple(labels.NATIVE_EXPRESSIONS['lsd'].values())
  assert labels.positions(order, lsd) == (0, 2, 3, 4, 6, 7)
  assert labels.positions(order, labels.EXPRESSIONS) == (*GATHER[8], -1)
  logits = np.arange(10, dtype=np.float32)[None]
  np.testing.assert_array_equal(
      classifier.gather(jnp.asarray(logits), order, lsd), [[0, 2, 3, 4, 6, 7]]
  )


def test_other_classifiers_and_missing_data_are_refused(tmp_path):
  _, folder = convert_network(tmp_path, 5)
  with pytest.raises(errors.InputError, match='names no expressions'):
    evaluation.evaluate(folder, 'validation', data=tmp_path / 'data')
  with pytest.raises(errors.InputError, match='give --data='):
    evaluation.evaluate(folder, 'validation')
