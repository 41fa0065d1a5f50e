"""The heads of HSE-NN train like PyTorch networks on the same batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.configs import heads
from abaw_jax.distributed import sharding
from abaw_jax.models import flops
from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import inputs, registry
from tests.data import corpora

DIM, SCORES, STEPS, ROWS = 9, 4, 12, 32
OUTPUTS = {'valence': 1, 'arousal': 1, 'expression': 8, 'au': 12}
VARIANTS = ('full', 'joint', 'joint_faithful')


@pytest.fixture(name='folder', scope='module')
def _folder(tmp_path_factory):
  """Returns a folder with two sets of random features."""
  path = tmp_path_factory.mktemp('heads')
  rng = np.random.default_rng(1)
  videos = corpora.rows({'a': 61, 'b': 40, 'c': 55})
  for name, dim in (('f', DIM - SCORES), ('s', SCORES)):
    records = [
        x | {'features': rng.normal(size=(len(x['row']), dim)).astype('f4')}
        for x in corpora.chunks(videos, 8)
    ]
    corpora.write_records(path, {'train': records}, name=name, dim=dim, card={})
  return path


def make_task(folder, variant):
  """Returns the task of a variant with the weights of its data, and its source."""
  config = heads.get_config(variant).to_dict()
  config['data'] |= {
      'name': 'toy', 'dir': str(folder), 'features': 'f,s', 'batch_size': ROWS
  }  # fmt: skip
  config['optim']['lr'] = 0.01
  config['loss']['l2'] = 1 / ROWS
  if config['model']['va_features']:
    config['model']['va_features'] = SCORES
  task = registry.make_task(config)
  source = task.source('train')
  source.fill(lambda count: None, num_workers=0, read_threads=1)
  return task.fitted(source), source


def train(task, source):
  """Returns (initial weights, losses, trained weights, batches)."""
  optimizer = skipping.skip_non_finite(
      optimization.make_optimizer(task, lambda step: task.config['optim']['lr'])
  )
  mesh = sharding.make_mesh(fsdp=1)
  init, shapes = steps.jit_init(
      task, optimizer, mesh, inputs.example(task, source)
  )
  step = steps.jit_train_step(
      task, optimizer, mesh, shapes, **optimization.step_options(task.config)
  )
  state = init(jax.random.key(0))
  first = jax.device_get(state.params)
  losses, batches = [], []
  stream = inputs.train_batches(task, source)
  for _ in range(STEPS):
    batches.append(next(stream))
    state, metrics = step(state, batches[-1])
    losses.append(float(metrics['loss']))
  stream.close()
  return first, losses, jax.device_get(state.params), batches


def copy_layer(params, name):
  kernel = torch.tensor(np.array(params['kernel']))
  layer = torch.nn.Linear(*kernel.shape)
  layer.weight.data, layer.bias.data = (
      kernel.T.contiguous(),
      torch.tensor(np.array(params['bias'])),
  )
  return layer.requires_grad_()


class Twin(torch.nn.Module):
  """Both published systems, on features [rows, DIM]."""

  def __init__(self, params, variant):
    super().__init__()
    self.joint = variant != 'full'
    self.layers = torch.nn.ModuleDict(
        {
            f'{task}_{name}': copy_layer(layer, name)
            for task in OUTPUTS
            for name, layer in params[task]['head'].items()
        }
    )

  def forward(self, x):
    """Returns (VA in (-1, 1), probabilities of expressions and of AUs)."""
    scores = x if self.joint else x[:, -SCORES:]
    va = torch.tanh(
        torch.cat(
            [self.layers[f'{k}_out'](scores) for k in ('valence', 'arousal')], 1
        )
    )
    if self.joint:
      x = torch.cat([x, va], dim=1)
    hidden = x if self.joint else torch.relu(self.layers['au_fc1'](x))
    return (
        va,
        torch.softmax(self.layers['expression_out'](x), dim=1),
        torch.sigmoid(self.layers['au_out'](hidden)),
    )

  def penalty(self):
    """Returns the sum of squares of the kernels with an L2 penalty."""
    names = [f'{k}_out' for k in OUTPUTS if self.joint or k != 'au']
    return sum((self.layers[k].weight ** 2).sum() for k in names)


def weights_of(columns):
  """Returns class weights, AU weights and task weights by loops over rows."""
  known = columns['expression'][columns['expr']]
  count = np.array([np.sum(known == c) for c in range(8)])
  aus = columns['au'][columns['au_mask'][:, 0]]
  positive = len(aus) / (2 * (aus == 1).sum(0))
  negative = len(aus) / (2 * (aus == 0).sum(0))
  rows = np.array([columns['va'].sum(), len(known), len(aus)])
  return count.max() / count, positive, negative, rows.max() / rows


def mean_ccc(pred, target):
  found = []
  for x, y in zip(pred.T, target.T, strict=True):
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    spread = x.var(unbiased=False) + y.var(unbiased=False)
    found.append(2 * covariance / (spread + (x.mean() - y.mean()) ** 2))
  return sum(found) / 2


def twin_loss(twin, batch, columns, variant):
  """Returns the loss of a batch; the faithful one as Keras computes it."""
  class_weight, positive, negative, factor = map(
      torch.tensor, weights_of(columns)
  )
  b = {
      k: torch.tensor(np.asarray(v)[:, 0])
      for k, v in batch.items()
      if v.ndim > 1
  }
  va, expr, au = twin(b['features'])
  target = torch.stack([b['valence'], b['arousal']], dim=1)
  label, aus = b['expression'].long(), b['au'].float()
  bce = torch.where(aus == 1, positive, negative).float()
  if variant == 'joint_faithful':
    masks = [b[k].float()[:, None] for k in ('va', 'expr')]
    masks.append(b['au_mask'][:, :1].float())
    va, expr, au = (
        x * mask for x, mask in zip((va, expr, au), masks, strict=True)
    )
    # Labels of masked rows are 0 in the batch. Keras normalises clipped
    # probabilities in the sparse cross-entropy.
    clipped = expr.clamp(1e-7, 1 - 1e-7)
    clipped = clipped / clipped.sum(1, keepdim=True)
    losses = -torch.log(clipped[torch.arange(len(label)), label])  # [n]
    weight = class_weight[label][:, None]  # [n, 1]
    expression = (weight * losses).mean()  # of [n, n]
    p = au.clamp(1e-7, 1 - 1e-7)
    losses = -(aus * torch.log(p) + (1 - aus) * torch.log(1 - p))
    parts = [1 - mean_ccc(va, target), expression, (bce * losses).mean()]
  else:
    known = b['va']
    log_p = torch.log(expr[torch.arange(len(label)), label])
    losses = -(aus * torch.log(au) + (1 - aus) * torch.log(1 - au))
    parts = [
        1 - mean_ccc(va[known], target[known]),
        (-class_weight[label] * log_p)[b['expr']].mean(),
        (bce * losses)[b['au_mask']].mean(),
    ]
  factor = factor if variant != 'full' else torch.ones(3)
  total = sum(f * part for f, part in zip(factor, parts, strict=True))
  return total + twin.penalty() / ROWS


@pytest.mark.parametrize('variant', VARIANTS)
def test_training_equals_pytorch(folder, variant):
  task, source = make_task(folder, variant)
  first, losses, params, batches = train(task, source)
  columns = source.videos.table.columns
  twin = Twin(first, variant)
  adam = torch.optim.Adam(twin.parameters(), lr=0.01, eps=1e-7)
  expected = []
  for batch in batches:
    adam.zero_grad()
    loss = twin_loss(twin, batch, columns, variant)
    loss.backward()
    adam.step()
    expected.append(loss.item())
  np.testing.assert_allclose(losses, expected, rtol=1e-4)
  for name, layer in twin.layers.items():
    head, _, part = name.rpartition('_')
    ours = params[head]['head'][part]
    for key, value in (('kernel', layer.weight.T), ('bias', layer.bias)):
      value = value.detach().numpy()
      np.testing.assert_allclose(ours[key], value, atol=5e-5, err_msg=name)
      moved = np.abs(value - first[head]['head'][part][key]).max()
      assert moved > 5e-3, name


def test_the_joint_heads_read_valence_and_arousal(folder):
  task, source = make_task(folder, 'joint')
  batch = jax.tree.map(jnp.asarray, inputs.example(task, source))
  params = task.init(jax.random.key(0), batch)
  widths = {k: params[k]['head']['out']['kernel'].shape for k in OUTPUTS}
  assert widths == {
      k: (DIM + 2 * (k in ('expression', 'au')), n) for k, n in OUTPUTS.items()
  }
  products = sum(2 * a * b for a, b in widths.values())
  assert flops.forward_flops(task.model, batch) == products


def test_variants_name_their_inputs():
  for variant, features, width in (
      ('full', 'small,small_scores', 22),
      ('features', 'small', 0),
      ('joint_scores', 'small_scores', 0),
  ):
    config = heads.get_config(variant)
    assert (config.data.features, config.model.va_features) == (features, width)
