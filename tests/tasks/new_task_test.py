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

from abaw_jax.data import image_sources
from abaw_jax.inference import evaluation
from abaw_jax.models.layers import variables
from abaw_jax.tasks import images, registry, task
from abaw_jax.telemetry import journal
from abaw_jax.training import loop
from tests.training import runs

SIZE, KILLED_AT = 16, 7


class Denoiser(nn.Module):  # predicts the noise of an image
  dim: int

  @nn.compact
  def __call__(self, images, *, train: bool):
    hidden = nn.relu(nn.Conv(self.dim, (3, 3))(images))
    return images - nn.Conv(3, (3, 3))(hidden)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenoiseTask(images.ImageTask):
  """Removes noise from faces."""

  name: ClassVar[str] = 'denoise'
  score: ClassVar[str] = 'PSNR'
  noise: float  # standard deviation, in units of normalised pixels

  @classmethod
  def make_model(cls, section: Mapping[str, Any]) -> nn.Module:
    return Denoiser(section['dim'])

  @classmethod
  def options(cls, config: Mapping[str, Any]) -> dict[str, Any]:
    return {'noise': config['loss']['noise']}

  def source(self, split):
    return image_sources.image_source(self.config['data'], split)

  def loss(self, params, batch, key):
    clean = self.augmentation.train(jax.random.fold_in(key, 0), batch['image'])
    loss = self._errors(params, clean, jax.random.fold_in(key, 1)).mean()
    return loss, {'loss': loss}

  def predict(self, params, batch):
    clean = self.augmentation.evaluate(batch['image'])
    return {'error': self._errors(params, clean, jax.random.key(0))}

  def scores(self, rows: task.Rows) -> dict[str, float]:
    return {'PSNR': float(-10 * np.log10(np.mean(rows['pred_error'])))}

  def flops(self, batch: task.Batch) -> int:
    return 3 * 2 * SIZE**2 * 9 * 6 * self.model.dim

  def _errors(self, params, clean, key):
    noisy = clean + self.noise * jax.random.normal(key, clean.shape)
    output, _ = variables.apply(self.model, params, noisy, train=False)
    return jnp.mean(jnp.square(output - clean), axis=(1, 2, 3))


def train(data_dir: str, workdir: str) -> dict:
  config = runs.smoke('mae', data_dir, save_steps=2, log_steps=1, plot_steps=0)
  config['model'] = {'name': 'denoise', 'image_size': SIZE, 'dim': 8}
  config['loss'] = {'noise': 0.5}
  loop.train(config, pathlib.Path(workdir))
  return config


class DyingJournal(journal.Journal):

  def note(self, step, metrics):
    if step == KILLED_AT:
      os.kill(os.getpid(), signal.SIGKILL)
    super().note(step, metrics)


def lines(workdir: pathlib.Path) -> list[dict[str, float]]:
  found = runs.metrics(workdir).values()
  return [{k: x[k] for k in x.keys() - runs.TIMED} for x in found]


def test_a_new_task_trains_resumes_evaluates_and_predicts(
    data_dir, tmp_path, monkeypatch, capsys
):
  monkeypatch.setitem(registry.TASKS, 'denoise', DenoiseTask)
  killed, whole = tmp_path / 'killed', tmp_path / 'whole'
  child = runs.start(
      'tests.tasks.new_task_test', str(data_dir), str(killed), **runs.KILLED
  )
  assert runs.finish(child)[0] == -signal.SIGKILL
  train(data_dir, killed)
  assert 'resuming from step' in capsys.readouterr().out
  config = train(data_dir, whole)
  assert lines(killed) == lines(whole)
  scores = evaluation.evaluate(killed, 'validation')
  assert scores == evaluation.evaluate(whole, 'validation')
  rows = np.load(evaluation.file(whole, 'validation'))
  errors = 10 ** (-scores['PSNR'] / 10)
  np.testing.assert_allclose(rows['pred_error'].mean(), errors, rtol=1e-5)
  validation = registry.make_task(config).source('validation')
  assert len(rows['video']) == len(validation)


if __name__ == '__main__':
  registry.TASKS['denoise'] = DenoiseTask
  journal.Journal = DyingJournal
  train(*sys.argv[1:])
