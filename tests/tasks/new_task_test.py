"""A new task is one class: this file adds one and uses it like the others."""

from collections.abc import Mapping
import dataclasses
import os
import pathlib
import signal
import sys
from typing import Any, ClassVar

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.data import image_sources
from abaw_jax.inference import evaluation
from abaw_jax.models.layers import variables
from abaw_jax.tasks import images, registry, task
from abaw_jax.telemetry import journal
from abaw_jax.training import loop
from tests.training import runs

SIZE, DIM, KILLED_AT = 16, 8, 7


class Denoiser(nn.Module):
  """Two convolutions that predict the noise of an image."""

  dim: int

  @nn.compact
  def __call__(self, images, *, train: bool):
    del train
    hidden = nn.relu(nn.Conv(self.dim, (3, 3))(images))
    return images - nn.Conv(3, (3, 3))(hidden)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenoiseTask(images.ImageTask):
  """Removes noise from faces.

  Attributes:
    noise: standard deviation of the noise, in units of normalised pixels.
  """

  name: ClassVar[str] = 'denoise'
  score: ClassVar[str] = 'PSNR'

  noise: float

  @classmethod
  def make_model(cls, section: Mapping[str, Any]) -> nn.Module:
    return Denoiser(section['dim'])

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    return {'noise': config['loss']['noise']}

  def source(self, split: str):
    return image_sources.image_source(self.config['data'], split)

  def loss(self, params, batch, key):
    image_key, noise_key = jax.random.split(key)
    clean = self.augmentation.train(image_key, batch['image'])
    loss = jnp.mean(self._errors(params, clean, noise_key))
    return loss, {'loss': loss}

  def predict(self, params, batch):
    clean = self.augmentation.evaluate(batch['image'])
    return {'error': self._errors(params, clean, jax.random.key(0))}

  def scores(self, rows: task.Rows) -> dict[str, float]:
    return {'PSNR': float(-10 * np.log10(np.mean(rows['pred_error'])))}

  def flops(self, batch: task.Batch) -> int:
    return 3 * 2 * SIZE**2 * 9 * (3 * self.model.dim + self.model.dim * 3)

  def _errors(self, params, clean, key):
    noisy = clean + self.noise * jax.random.normal(key, clean.shape)
    output, _ = variables.apply(self.model, params, noisy, train=False)
    return jnp.mean(jnp.square(output - clean), axis=(1, 2, 3))


def train(data_dir: str, workdir: str) -> dict:
  config = runs.smoke('mae', data_dir, save_steps=2, log_steps=1, plot_steps=0)
  config['model'] = {'name': 'denoise', 'image_size': SIZE, 'dim': DIM}
  config['loss'] = {'noise': 0.5}
  loop.train(config, pathlib.Path(workdir))
  return config


def train_and_die(data_dir: str, workdir: str) -> None:
  note = journal.Journal.note

  def dying(self, step, metrics):
    note(self, step, metrics)
    if step == KILLED_AT:
      os.kill(os.getpid(), signal.SIGKILL)

  journal.Journal.note = dying
  registry.TASKS['denoise'] = DenoiseTask
  train(data_dir, workdir)


def lines(workdir: pathlib.Path) -> dict[int, dict[str, float]]:
  return {
      step: {k: v for k, v in line.items() if k not in runs.TIMED}
      for step, line in runs.metrics(workdir).items()
  }


def test_a_new_task_trains_resumes_evaluates_and_predicts(
    data_dir, tmp_path, monkeypatch, capsys
):
  monkeypatch.setitem(registry.TASKS, 'denoise', DenoiseTask)
  killed, whole = tmp_path / 'killed', tmp_path / 'whole'
  child = runs.start('tests.tasks.new_task_test', str(data_dir), str(killed))
  status, _, _ = runs.finish(child)
  assert status == -signal.SIGKILL
  train(data_dir, killed)
  assert 'resuming from step' in capsys.readouterr().out
  config = train(data_dir, whole)
  assert lines(killed) == lines(whole)
  scores = evaluation.evaluate(killed, 'validation')
  assert scores == evaluation.evaluate(whole, 'validation')
  rows = np.load(evaluation.file(whole, 'validation'))
  errors = rows['pred_error'].astype(np.float64)
  assert scores['PSNR'] == pytest.approx(
      -10 * np.log10(errors.mean()), rel=1e-6
  )
  assert len(errors) == len(registry.make_task(config).source('validation'))


if __name__ == '__main__':
  train_and_die(*sys.argv[1:])
