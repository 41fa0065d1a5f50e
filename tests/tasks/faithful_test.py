"""A run in faithful mode ends with the parameters of a PyTorch twin."""

import jax
import numpy as np
import pytest
import torch

from abaw_jax.configs import mtl
from abaw_jax.distributed import sharding
from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import inputs, registry
from tests.data import corpora
from tests.models import temporal_models, torch_temporal

DIM, WINDOW, STEPS, WARMUP, EPOCHS = 5, 8, 20, 2, 7
SIZES = {'long': 23, 'short': 14}
LR, CLIP = 1e-3, 0.5
WEIGHTS = {'valence': 12.0, 'arousal': 12.0, 'expression': 0.35, 'au': 1.0}


def make_videos() -> dict[str, dict[str, np.ndarray]]:
  """Returns two videos in which some labels are missing.

  After frame 16 no expression is labelled, so the last window has none.
  """
  videos = corpora.rows(SIZES)
  rng = np.random.default_rng(1)
  for rows in videos.values():
    n = len(rows['row'])
    rows['frame_id'] = np.arange(1, n + 1, dtype=np.int32)
    rows['expr'][16:] = False
    rows['expression'][16:] = -1
    rows['features'] = rng.standard_normal((n, DIM), np.float32)
  return videos


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> dict:
  """Returns a small faithful config without dropout.

  It has one private layer; the published script has three.
  """
  path = tmp_path_factory.mktemp('videos')
  records = {'train': list(corpora.chunks(make_videos(), 8))}
  corpora.write_records(path, records, name='small', dim=DIM, card={})
  config = mtl.get_config('faithful').to_dict()
  config['data'] |= {
      'name': 'toy', 'dir': str(path), 'batch_size': 2, 'window': WINDOW
  }  # fmt: skip
  config['model'] |= {
      'dim': 16, 'num_heads': 2, 'mlp_dim': 24, 'private_head_dim': 8,
      'hidden_dims': (10, 8), 'dropout': 0.0, 'encoder_dropout': 0.0,
      'private_layers': 1,
  }  # fmt: skip
  config['optim'] |= {'lr': LR, 'warmup_epochs': WARMUP, 'clip_norm': CLIP}
  config['epochs'] = EPOCHS
  return config


def make_twin() -> torch_temporal.TemporalModel:
  model = torch_temporal.TemporalModel(
      DIM,
      dim=16,
      private_layers=1,
      num_heads=2,
      mlp_dim=24,
      head_dim=8,
      hidden_dims=(10, 8),
  )
  torch_temporal.randomise(model, 0.3)
  return model


def collate() -> dict[str, torch.Tensor]:
  """Returns both videos, padded to the longest; labels get "missing" values."""
  longest = max(SIZES.values())
  padding = {
      'features': 0.0, 'valence': -5.0, 'arousal': -5.0, 'expression': -1,
      'au': -1,
  }  # fmt: skip
  batch = {}
  for name, fill in padding.items():
    rows = []
    for video in make_videos().values():
      widths = [(0, longest - len(video[name]))]
      widths += [(0, 0)] * (video[name].ndim - 1)
      rows.append(np.pad(video[name], widths, constant_values=fill))
    batch[name] = torch.tensor(np.stack(rows))
  lengths = np.array([*SIZES.values()])[:, None]
  batch['mask'] = torch.tensor(np.arange(longest)[None] < lengths).float()
  return batch


def published_loss(output, batch) -> torch.Tensor:
  """Returns the loss of a window with the published denominators."""
  total = torch.zeros([])
  for task in ('valence', 'arousal'):
    counts = batch['mask'] * (batch[task] != -5)
    squares = (output[task][..., 0] * counts - batch[task] * counts) ** 2
    total = total + WEIGHTS[task] * squares.mean()
  if (batch['expression'] != -1).any():
    total = total + WEIGHTS['expression'] * torch.nn.functional.cross_entropy(
        output['expression'].flatten(0, 1),
        batch['expression'].flatten().long(),
        ignore_index=-1,
    )
  known = batch['au'] != -1
  if known.any():
    total = total + torch.nn.functional.binary_cross_entropy(
        torch.sigmoid(output['au'])[known], batch['au'][known].float()
    )
  return total


def factor(done: int) -> float:
  """Returns the published factor of `linear_with_warmup`."""
  if done < WARMUP:
    return done / WARMUP
  return (EPOCHS - done) / (EPOCHS - WARMUP)


def train_twin(model) -> tuple[list[float], int]:
  """Returns the losses of STEPS updates, and the number of clipped parts."""
  adam = torch.optim.Adam(model.parameters(), lr=LR, betas=(0.5, 0.999))
  schedule = torch.optim.lr_scheduler.LambdaLR(adam, factor)
  batch, found, clipped = collate(), [], 0
  for _ in range(EPOCHS):
    for start in range(0, max(SIZES.values()), WINDOW):
      window = {k: v[:, start : start + WINDOW] for k, v in batch.items()}
      adam.zero_grad(set_to_none=False)
      loss = published_loss(model(window['features']), window)
      loss.backward()
      for part in model.networks().values():
        norm = torch.nn.utils.clip_grad_norm_(part, CLIP)
        clipped += bool(norm > CLIP)
      adam.step()
      found.append(float(loss.detach()))
      if len(found) == STEPS:
        return found, clipped
    schedule.step()
  raise AssertionError('too few updates')


def train_ours(config, params) -> tuple[list[float], dict]:
  """Trains from `params`; returns losses of STEPS updates, and weights."""
  source = registry.make_task(config).source('train')
  ends = inputs.epoch_ends(config, source)
  assert ends == tuple(range(3, 3 * EPOCHS + 1, 3))
  task = registry.make_task(config)
  schedule = optimization.make_schedule(
      config, total_steps=ends[-1], warmup_steps=0, epoch_ends=ends
  )
  optimizer = skipping.skip_non_finite(
      optimization.make_optimizer(task, schedule)
  )
  mesh = sharding.make_mesh(fsdp=1)
  init, shapes = steps.jit_init(
      task, optimizer, mesh, inputs.example(registry.make_task(config), source)
  )
  step = steps.jit_train_step(
      task,
      optimizer,
      mesh,
      shapes,
      epoch_ends=ends,
      **optimization.step_options(config),
  )
  state = init(jax.random.key(0))
  trained = {k: v for k, v in state.params.items() if k != 'batch_stats'}
  assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, trained)
  # Copies, because an update donates its state.
  state.params |= jax.tree.map(jax.numpy.array, params)
  found = []
  batches = inputs.train_batches(registry.make_task(config), source)
  for _ in range(STEPS):
    state, metrics = step(state, next(batches))
    found.append(float(metrics['loss']))
  batches.close()
  return found, jax.device_get(state.params)


def leaves(params) -> dict[str, np.ndarray]:
  """Returns the parameters by path, without the biases of keys.

  These biases add the same value to all scores of a frame. So their gradients
  are rounding errors, and Adam scales them to full steps.
  """
  found = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = sharding.path_name(path)
    if name.endswith('qkv/bias'):
      queries, _, values = np.split(np.asarray(leaf), 3)
      leaf = np.concatenate([queries, values])
    found[name] = np.asarray(leaf)
  return found


def test_training_ends_with_the_parameters_of_pytorch(config):
  torch.set_num_threads(1)
  twin = make_twin()
  begun = torch_temporal.to_ours(twin)
  expected, clipped = train_twin(twin)
  found, params = train_ours(config, begun)
  assert clipped > STEPS  # clipping is active
  np.testing.assert_allclose(found, expected, rtol=1e-4)
  ended, begun = leaves(torch_temporal.to_ours(twin)), leaves(begun)
  ours = leaves(params)
  for name, value in ended.items():
    np.testing.assert_allclose(
        ours[name], value, rtol=0, atol=1e-4, err_msg=name
    )
  # The parameters have changed by a hundred times the tolerance.
  moved = max(np.abs(ended[name] - begun[name]).max() for name in ended)
  assert moved > 1e-2


def test_faithful_sets_every_quirk_of_the_model():
  section = mtl.get_config('faithful').model
  assert all(section[k] == v for k, v in temporal_models.FAITHFUL.items())
  corrected = mtl.get_config().model
  assert all(corrected[k] != v for k, v in temporal_models.FAITHFUL.items())
