"""`abaw-jax predict` with a real bundle, and the Python interface."""

import json
import subprocess
import sys

import cv2
import numpy as np
from pyarrow import parquet
import pytest

import abaw_jax
from abaw_jax.bundles import writing
from abaw_jax.core import errors, labels
from abaw_jax.inference import evaluation
from abaw_jax.scoring import prediction_files
from tests.bundles import made
from tests.training import runs


@pytest.fixture(scope='module')
def bundles(root, tmp_path_factory):
  """Returns a folder with `bundle`, a recurrent model, and `frame_bundle`."""
  folder = tmp_path_factory.mktemp('end_to_end')
  writing.write_bundle(
      folder / 'bundle', frame=root / 'frame', temporal=[root / 'mtl_gru']
  )
  writing.write_bundle(folder / 'frame_bundle', frame=root / 'frame')
  return folder


@pytest.fixture(scope='module')
def crops(root, bundles):
  """Returns a video's name, its frame numbers, and a folder of its faces."""
  name, video = max(
      made.videos(root).items(), key=lambda x: len(x[1]['frame_id'])
  )
  folder = bundles / 'crops' / name
  folder.mkdir(parents=True)
  for number, face in zip(video['frame_id'], video['faces'], strict=True):
    cv2.imwrite(str(folder / f'{number:05}.png'), face[..., ::-1])
  return name, video, folder


@pytest.fixture(scope='module')
def table(bundles, crops):
  """Returns the table that the command writes."""
  out = bundles / 'out'
  process = runs.start(
      'abaw_jax.predict',
      str(crops[2]),
      f'--model={bundles / "bundle"}',
      f'--out={out}',
      '--detector=none',
  )
  status, printed, error = runs.finish(process)
  assert status == 0, printed + error
  assert 'frames/s' in printed
  return parquet.read_table(out / f'{crops[0]}.parquet')


def values(table):
  """Returns the predictions of a table by field."""
  column = lambda name: np.asarray(table[name])  # noqa: E731
  return {
      'valence': column('valence'),
      'arousal': column('arousal'),
      'expression': np.stack(
          [column(f'expr_{name}') for name in labels.EXPRESSIONS], axis=-1
      ),
      'au': np.stack([column(name) for name in labels.AU_NAMES], axis=-1),
  }


def test_aligned_crops_have_the_rows_of_evaluate(root, crops, table):
  name, video, _ = crops
  path = evaluation.file(root / 'mtl_gru', made.SPLIT)
  wanted = prediction_files.read(path)
  wanted = wanted.take(np.flatnonzero(wanted.video == name))
  wanted = wanted.take(np.unique(wanted.frame_id, return_index=True)[1])
  np.testing.assert_array_equal(wanted.frame_id, video['frame_id'])
  for field, found in values(table).items():
    np.testing.assert_allclose(found, getattr(wanted, field), atol=2e-5)


def test_the_table_of_python_is_that_of_the_command(bundles, crops, table):
  _, video, folder = crops
  model = abaw_jax.load(bundles / 'bundle')
  found = model.predict(folder, aligned=True)
  # Another process may have compiled the network for the command, so its sums can have
  # another order.
  predicted = ('valence', 'arousal', 'expr_', 'AU')
  others = [x for x in found.column_names if not x.startswith(predicted)]
  assert found.select(others).equals(table.select(others))
  for field, wanted in values(table).items():
    np.testing.assert_allclose(values(found)[field], wanted, atol=2e-5)
  # As an array, its frames have no numbers and so other times.
  other = model.predict(video['faces'], aligned=True, batch_size=4)
  for field, found in values(other).items():
    np.testing.assert_allclose(found, values(table)[field], atol=2e-5)
  schema = json.loads((bundles / 'out' / f'{crops[0]}.schema.json').read_text())
  assert [x.name for x in model.columns()] == [
      x['name'] for x in schema['columns']
  ]


def test_a_stream_gives_each_row_at_once(bundles, crops):
  _, video, _ = crops
  model = abaw_jax.load(bundles / 'frame_bundle')
  table = model.predict(video['faces'], aligned=True).to_pylist()
  stream = model.stream(aligned=True)
  for index, face in enumerate(video['faces'][:6]):
    [row] = stream.push(face)
    assert row['frame'] == index
    assert row['expression'] == table[index]['expression']
    assert row['AU12'] == pytest.approx(table[index]['AU12'], abs=2e-5)
  with pytest.raises(errors.InputError, match='interpolate'):
    model.stream(interpolate=1.0)


def test_embed_gives_the_features_of_extract(bundles, crops):
  model = abaw_jax.load(bundles / 'frame_bundle')
  features = model.embed(crops[1]['faces'][:3])
  assert features.shape == (3, model.predictor.feature_dim)
  with pytest.raises(errors.InputError, match='give uint8 RGB images'):
    model.embed(features)


def test_adaptive_reading_of_a_frame_model(bundles, crops):
  _, video, _ = crops
  model = abaw_jax.load(bundles / 'frame_bundle')
  full = model.predict(video['faces'], aligned=True)
  all_read = model.predict(video['faces'], aligned=True, adaptive=0.999)
  assert set(all_read['is_read'].to_pylist()) == {1}
  for field, found in values(all_read).items():
    np.testing.assert_allclose(found, values(full)[field], atol=2e-5)
  few = model.predict(video['faces'], aligned=True, adaptive=0.01)
  read = np.asarray(few['is_read']) == 1
  assert read.sum() == -(-(len(read) - 1) // 8) + 1
  np.testing.assert_allclose(
      np.asarray(few['valence'])[read],
      np.asarray(full['valence'])[read],
      atol=2e-5,
  )
  with pytest.raises(errors.InputError, match='has a temporal model'):
    abaw_jax.load(bundles / 'bundle').predict(
        video['faces'], aligned=True, adaptive=0.5
    )


def test_the_import_starts_nothing_heavy():
  script = 'import sys, abaw_jax; print(*sys.modules)'
  done = subprocess.run(
      [sys.executable, '-c', script],
      cwd=runs.ROOT,
      capture_output=True,
      text=True,
      check=True,
  )
  assert not {'jax', 'cv2', 'numpy', 'pyarrow'} & set(done.stdout.split())
