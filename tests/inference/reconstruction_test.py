"""Reconstruction grids of a small MAE: their content and their inputs."""

import json
import pathlib
import shutil

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.checkpoints import runs as run_files
from abaw_jax.core import errors
from abaw_jax.data import sources
from abaw_jax.inference import pictures
from abaw_jax.inference import reconstruction as reconstruction_lib
from abaw_jax.models.vision import vit
from abaw_jax.tasks import registry
from abaw_jax.telemetry import grid
from abaw_jax.training import loop
from tests.training import runs

SIDE, SCALE, GAP, TITLE = 64, 2, 4, 22


@pytest.fixture(scope='module')
def run(data_dir, tmp_path_factory) -> pathlib.Path:
  """Returns the workdir of a MAE run with four updates."""
  workdir = tmp_path_factory.mktemp('run') / 'mae'
  config = runs.smoke(
      'mae',
      data_dir,
      model__decoder_depth=1,
      optim__warmup_epochs=0.0,
      plot_steps=0,
      seed=3,
  )
  rows = len(registry.make_task(config).source('train'))
  loop.train(config | {'epochs': 4 * 8 / rows}, workdir)
  return workdir


def reconstruct(run, out, **overrides) -> tuple[int, float]:
  """Returns (number of images, loss), as the command prints them."""
  arguments = {
      'data': None,
      'split': 'validation',
      'images': [],
      'num_images': 3,
      'seed': 0,
      'prediction': False,
  }
  return reconstruction_lib.reconstruct(
      init_from=run, out=out, **arguments | overrides
  )


def cells(path: pathlib.Path) -> np.ndarray:
  """Returns the RGB images of a grid, [rows, columns, s, s, 3]."""
  image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
  pitch = SIDE * SCALE + GAP
  rows, columns = (image.shape[0] - TITLE) // pitch, image.shape[1] // pitch
  body = image[TITLE:, GAP:].reshape(rows, pitch, columns, pitch, 3)
  body = body.swapaxes(1, 2)[:, :, : SIDE * SCALE, : SIDE * SCALE]
  return body[:, :, ::SCALE, ::SCALE]


def test_the_seed_selects_the_images(run, tmp_path):
  a, b, c = (tmp_path / name for name in ('a.png', 'b.png', 'c.png'))
  assert reconstruct(run, a) == reconstruct(run, b)
  reconstruct(run, c, seed=1)
  assert a.read_bytes() == b.read_bytes()
  assert (cells(a)[:, 0] != cells(c)[:, 0]).any()


def test_rows_are_original_masked_and_reconstructed(run, tmp_path):
  count, loss = reconstruct(run, tmp_path / 'grid.png', prediction=True)
  assert count == 3
  assert 0.0 < loss < 2.0
  found = cells(tmp_path / 'grid.png')
  assert found.shape == (3, 4, SIDE, SIDE, 3)
  for original, masked, reconstructed, predicted in found:
    hidden = (masked == 128).all(-1)
    patches = hidden.reshape(4, 16, 4, 16).mean((1, 3))
    assert (patches > 0.99).sum() == 12  # three quarters of 16
    shown = np.kron(patches < 0.99, np.ones((16, 16), bool))
    np.testing.assert_array_equal(masked[shown], original[shown])
    np.testing.assert_array_equal(reconstructed[shown], original[shown])
    np.testing.assert_array_equal(reconstructed[~shown], predicted[~shown])
    # Each patch has the mean brightness of the true one, up to clipping.
    means = [
        image.reshape(4, 16, 4, 16, 3).mean((1, 3, 4), dtype=float)
        for image in (original, predicted)
    ]
    np.testing.assert_allclose(*means, atol=16)


def test_a_dataset_name_works_with_and_without_its_config(
    run, data_dir, tmp_path
):
  reconstruct(run, tmp_path / 'run.png')
  for data in ('s_aff_wild2', 's_aff_wild2/frames'):
    reconstruct(run, tmp_path / 'data.png', data=data_dir / data)
    found = (tmp_path / 'data.png').read_bytes()
    assert found == (tmp_path / 'run.png').read_bytes()


def test_image_files_keep_their_order_and_colour(run, tmp_path):
  red = np.zeros((40, 60, 3), np.uint8)
  red[..., 0], blue = 200, red.copy()
  blue[...] = (0, 0, 200)
  paths = []
  for name, image in {'red.png': red, 'blue.png': blue}.items():
    (tmp_path / name).write_bytes(grid.encode_png(image))
    paths.append(tmp_path / name)
  assert reconstruct(run, tmp_path / 'grid.png', images=paths)[0] == 2
  found = cells(tmp_path / 'grid.png')[:, 0]
  np.testing.assert_allclose(
      found[0], np.full_like(found[0], red[0, 0]), atol=1
  )
  np.testing.assert_allclose(
      found[1], np.full_like(found[1], blue[0, 0]), atol=1
  )


@pytest.mark.parametrize('name', ['broken.png', 'missing.png'])
def test_a_broken_or_missing_image_is_named(run, tmp_path, name):
  (tmp_path / 'broken.png').write_bytes(b'GIF89')
  with pytest.raises(errors.InputError, match=name):
    reconstruct(run, tmp_path / 'grid.png', images=[tmp_path / name])
  assert not (tmp_path / 'grid.png').exists()


def test_weights_without_a_dataset_need_images(run, tmp_path):
  workdir = tmp_path / 'weights'
  shutil.copytree(run, workdir)
  config = json.loads((workdir / 'config.json').read_text())
  sections = {key: config[key] for key in ('model', 'augment')}
  (workdir / 'config.json').write_text(json.dumps(sections))
  with pytest.raises(errors.InputError, match='--data=DATA_DIR/NAME or --imag'):
    reconstruct(workdir, tmp_path / 'grid.png')


def test_the_loss_has_a_closed_form_for_zero_predictions(run, data_dir):
  # If a model always predicts zero, its loss is the mean square of the
  # standardised pixels, whose unbiased variance is one.
  config = run_files.read_config(run)
  task = registry.make_task(config)
  records = sources.Records(data_dir, 's_aff_wild2', 'frames', 'validation')
  images = pictures.choose_images(task, records, count=2, seed=0)
  params = jax.jit(task.init)(jax.random.key(0), {'image': images})
  params['decoder_pred'] = jax.tree.map(jnp.zeros_like, params['decoder_pred'])
  drawn = jax.jit(task.draw)(params, jnp.asarray(images), jax.random.key(1))
  size = 16 * 16 * 3
  np.testing.assert_allclose(drawn['loss'], (size - 1) / size, rtol=1e-3)
  patches = np.asarray(vit.patchify(jnp.asarray(drawn['predicted']) / 1.0, 16))
  assert patches.reshape(2, 16, -1, 3).std(2).max() < 1.0, 'not one colour'
