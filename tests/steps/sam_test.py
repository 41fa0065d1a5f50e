"""Sharpness-aware minimisation (SAM) against PyTorch and plain updates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from abaw_jax.distributed import sharding
from abaw_jax.steps import skipping, steps
from tests.steps import toy_task

DIM = 3


class CurveTask(toy_task.ToyTask):
  """Fits y = a * sin(b x) by least squares; `a` and `b` are two parts."""

  def init(self, key, batch):
    del key, batch
    return {'a': {'w': jnp.ones(DIM)}, 'b': {'w': jnp.full(DIM, 0.5)}}

  def loss(self, params, batch, key):
    del key
    a, b = params['a']['w'], params['b']['w']
    out = a[None] * jnp.sin(b[None] * batch['x'])
    loss = jnp.mean((out - batch['y']) ** 2)
    return loss, {'loss': loss}

  def predict(self, params, batch):
    return {'y': params['a']['w'][None] * batch['x']}


class CountingTask(CurveTask):
  """Its `batch_stats` count the passes and keep the weights of the last one."""

  def init(self, key, batch):
    still = {'count': jnp.float32(0), 'seen': jnp.ones(DIM)}
    return super().init(key, batch) | {'batch_stats': still}

  def loss(self, params, batch, key):
    loss, metrics = super().loss(params, batch, key)
    moved = {
        'count': params['batch_stats']['count'] + 1,
        'seen': jax.lax.stop_gradient(params['a']['w']),
    }
    return loss, metrics | {'batch_stats': moved}


def batch(rows=6, seed=0):
  rng = np.random.default_rng(seed)
  return {
      'x': rng.normal(size=(rows, DIM)).astype(np.float32),
      'y': rng.normal(size=(rows, DIM)).astype(np.float32),
  }


def make(optimizer, task=None, **options):
  """Returns (state, step) on one device."""
  task = task or CurveTask()
  mesh = sharding.make_mesh(fsdp=1)
  optimizer = skipping.skip_non_finite(optimizer)
  init, shapes = steps.jit_init(
      task, optimizer, mesh, batch(), ema=options.get('ema', 0.0)
  )
  step = steps.jit_train_step(task, optimizer, mesh, shapes, seed=0, **options)
  return init(jax.random.key(0)), step


def torch_sam(batches, *, rho, lr, frozen=()):
  """Returns the parts after one update of SAM with Adam per batch."""
  params = {
      name: torch.full((DIM,), value, requires_grad=name not in frozen)
      for name, value in (('a', 1.0), ('b', 0.5))
  }
  trained = [p for p in params.values() if p.requires_grad]
  adam = torch.optim.Adam(trained, lr=lr)

  def gradients(rows):
    out = params['a'] * torch.sin(params['b'] * torch.tensor(rows['x']))
    loss = ((out - torch.tensor(rows['y'])) ** 2).mean()
    adam.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in trained]

  for rows in batches:
    grads = gradients(rows)
    norm = torch.sqrt(sum((g**2).sum() for g in grads))
    shifts = [rho * g / (norm + 1e-12) for g in grads]
    with torch.no_grad():
      for p, shift in zip(trained, shifts, strict=True):
        p += shift
    gradients(rows)
    with torch.no_grad():
      for p, shift in zip(trained, shifts, strict=True):
        p -= shift
    adam.step()
  return {name: p.detach().numpy() for name, p in params.items()}


@pytest.mark.parametrize('freeze', ['', 'b'])
def test_three_updates_equal_sam_in_torch(freeze):
  batches = [batch(seed=seed) for seed in range(3)]
  state, step = make(optax.adam(0.1), sam_rho=0.5, freeze=freeze)
  for rows in batches:
    state, _ = step(state, rows)
  frozen = (freeze,) if freeze else ()
  want = torch_sam(batches, rho=0.5, lr=0.1, frozen=frozen)
  for name, value in want.items():
    np.testing.assert_allclose(state.params[name]['w'], value, rtol=2e-5)


def test_metrics_use_the_unperturbed_weights():
  plain, step = make(optax.sgd(0.1))
  _, expected = step(plain, batch())
  sharp, step = make(optax.sgd(0.1), sam_rho=0.5)
  _, metrics = step(sharp, batch())
  np.testing.assert_allclose(metrics['loss'], expected['loss'], rtol=1e-6)
  assert metrics['grad_norm'] != expected['grad_norm']


def test_microbatches_give_the_update_of_the_full_batch():
  full, step = make(optax.sgd(0.1), sam_rho=0.5)
  full, _ = step(full, batch())
  parts, step = make(optax.sgd(0.1), sam_rho=0.5, microbatches=3)
  parts, _ = step(parts, batch())
  jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5),
      parts.params,
      full.params,
  )


@pytest.mark.parametrize(('faithful', 'passes'), [(False, 1), (True, 2)])
def test_statistics_change_in_the_first_pass_or_in_both(faithful, passes):
  state, step = make(
      optax.sgd(0.1), CountingTask(), sam_rho=0.5, sam_faithful=faithful
  )
  before = np.array(state.params['a']['w'])
  state, _ = step(state, batch())
  moved = state.params['batch_stats']
  assert moved['count'] == passes
  assert np.array_equal(moved['seen'], before) == (not faithful)


@pytest.mark.parametrize('faithful', [False, True])
def test_a_poisoned_batch_changes_nothing(faithful):
  state, step = make(
      optax.adam(0.1),
      CountingTask(),
      sam_rho=0.5,
      sam_faithful=faithful,
      ema=0.9,
  )
  state, _ = step(state, batch())
  before = jax.tree.map(np.array, (state.params, state.average))
  bad = batch()
  bad['x'][0] = np.inf
  state, metrics = step(state, bad)
  assert metrics['skipped'] == 1
  jax.tree.map(
      np.testing.assert_array_equal, (state.params, state.average), before
  )
  state, metrics = step(state, batch())
  assert metrics['skipped_in_a_row'] == 0
  assert not np.array_equal(state.params['a']['w'], before[0]['a']['w'])


def test_a_gradient_of_zero_changes_nothing():
  state, step = make(optax.sgd(0.1), sam_rho=0.5)
  rows = {k: np.zeros_like(v) for k, v in batch().items()}
  before = jax.tree.map(np.array, state.params)
  state, _ = step(state, rows)
  jax.tree.map(np.testing.assert_array_equal, state.params, before)
