"""One gradient of one loss does the published alternating step of a GAN."""

import dataclasses
import functools
import pathlib

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from abaw_jax.augmentation import degradation
from abaw_jax.core import errors
from abaw_jax.models.layers import variables
from abaw_jax.porting import registry as layouts
from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import registry
from benchmarks.twins import super_resolution as twins
from tests.training import runs

SIDE, STEPS = 32, 3
RATE, DISCRIMINATOR_RATE, EPSILON = 1e-2, 0.5, 1e-4


class Mean(degradation.Degradation):
  """Makes images smaller without random choices, and NaN of a white image."""

  def __call__(self, keys, images):
    b, h, w, c = images.shape
    small = images.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
    is_white = images.min((1, 2, 3), keepdims=True) == 1.0
    return jnp.where(is_white, jnp.nan, small)


def config(**overrides) -> dict:
  return runs.smoke(
      'sr',
      pathlib.Path('unused'),
      model__image_size=SIDE,
      data__face_size=SIDE,
      augment__flip=False,
      **overrides,
  )


def batches() -> list[np.ndarray]:
  rng = np.random.default_rng(0)
  shape = (STEPS, 4, SIDE, SIDE, 3)
  return list(rng.integers(0, 256, shape).astype(np.uint8))


def to_torch(x) -> torch.Tensor:
  return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2).copy())


def torch_kernel(x) -> torch.Tensor:
  return torch.tensor(np.asarray(x).transpose(3, 2, 0, 1).copy())


def discriminator_twin(params, statistics):
  """Returns PyTorch's discriminator with our weights."""
  twin = twins.UNetDiscriminatorSN(params['conv0']['kernel'].shape[-1])
  for name, layer in twin.named_children():
    kernel = torch_kernel(params[name]['kernel'])
    if name in statistics:
      layer.weight_orig.data = kernel
      layer.weight_u = torch.tensor(np.array(statistics[name]['u']))
    else:
      layer.weight.data = kernel
      layer.bias.data = torch.tensor(np.array(params[name]['bias']))
  return twin


def generator_rules(params, model):
  layout = layouts.LAYOUTS['compact']
  flat = traverse_util.flatten_dict({'generator': params}, sep='/')
  return {path: layout.make_rule(path, model) for path in flat}, flat


def train_in_torch(generator, discriminator, loss):
  """Does Real-ESRGAN's alternating updates."""
  adams = [
      torch.optim.Adam(model.parameters(), rate, (0.9, 0.99), EPSILON)
      for model, rate in (
          (generator, RATE),
          (discriminator, RATE * DISCRIMINATOR_RATE),
      )
  ]
  entropy = F.binary_cross_entropy_with_logits
  for images in batches():
    real = to_torch(np.float32(images / 255))
    adams[0].zero_grad()
    fake = generator(F.avg_pool2d(real, 2))
    for parameter in discriminator.parameters():
      parameter.requires_grad = False
    logits = discriminator(fake)
    adversarial = entropy(logits, torch.ones_like(logits))
    total = loss['l1'] * F.l1_loss(fake, real)
    (total + loss['adversarial'] * adversarial).backward()
    adams[0].step()
    for parameter in discriminator.parameters():
      parameter.requires_grad = True
    adams[1].zero_grad()
    logits = discriminator(real)
    entropy(logits, torch.ones_like(logits)).backward()
    logits = discriminator(fake.detach())
    entropy(logits, torch.zeros_like(logits)).backward()
    adams[1].step()


def test_updates_equal_alternating_updates_in_torch_and_skip_nan():
  settings = config(
      optim__eps=EPSILON,
      optim__discriminator_rate=DISCRIMINATOR_RATE,
      loss__adversarial=0.5,
  )
  task = registry.make_task(settings)
  mean = Mean(**vars(task.degradation))
  task = dataclasses.replace(task, degradation=mean)
  optimizer = skipping.skip_non_finite(
      optimization.make_optimizer(task, lambda step: RATE)
  )
  init = functools.partial(
      steps.init_state, task=task, optimizer=optimizer, ema=0.5
  )
  state = jax.jit(init)(jax.random.key(0), {})
  first = jax.device_get(state.params)
  step = jax.jit(
      functools.partial(
          steps.train_step, task=task, optimizer=optimizer, seed=0, ema=0.5
      )
  )
  for number, images in enumerate(batches()):
    state, metrics = step(state, {'image': jnp.asarray(images)})
    if number == 1:
      before = jax.device_get(state)
      images[0] = 255
      state, metrics = step(state, {'image': jnp.asarray(images)})
      # Both networks, their moments, their EMA and the spectral norms stay.
      for name in ('params', 'average'):
        jax.tree.map(
            np.testing.assert_array_equal,
            getattr(state, name),
            getattr(before, name),
        )
      jax.tree.map(
          np.testing.assert_array_equal,
          state.opt_state.inner_state,
          before.opt_state.inner_state,
      )
      assert int(metrics['skipped_in_a_row']) == 1
  counts = int(metrics['skipped']), int(metrics['skipped_in_a_row'])
  assert counts == (1, 0)

  model = settings['model']
  rules, flat = generator_rules(first['generator'], model)
  generator = twins.SRVGGNetCompact(2, model['width'], model['convs'])
  generator.load_state_dict(
      {
          rule.name: torch.tensor(np.array(rule.to_theirs(flat[path])))
          for path, rule in rules.items()
      }
  )
  statistics = first[variables.STATISTICS]['discriminator']
  discriminator = discriminator_twin(first['discriminator'], statistics)
  train_in_torch(generator, discriminator, settings['loss'])

  moved = {'generator': 0.0, 'discriminator': 0.0}
  found = traverse_util.flatten_dict(
      {'generator': state.params['generator']}, sep='/'
  )
  theirs = generator.state_dict()
  for path, rule in rules.items():
    expected = rule.to_ours(theirs[rule.name].numpy())
    np.testing.assert_allclose(found[path], expected, atol=1e-4, err_msg=path)
    change = np.abs(expected - flat[path]).max()
    moved['generator'] = max(moved['generator'], change)
  ours = state.params[variables.STATISTICS]['discriminator']
  expected = discriminator_twin(state.params['discriminator'], ours)
  theirs = discriminator.state_dict()
  for name, tensor in expected.state_dict().items():
    if name.endswith('_v'):
      continue  # follows from u
    np.testing.assert_allclose(
        tensor, theirs[name].numpy(), atol=1e-4, err_msg=name
    )
  kernel = first['discriminator']['conv3']['kernel']
  change = state.params['discriminator']['conv3']['kernel'] - kernel
  assert np.abs(change).max() > 5e-3
  assert moved['generator'] > 1e-2


def test_a_picture_has_all_columns():
  task = registry.make_task(config())
  images = jax.ShapeDtypeStruct((2, SIDE, SIDE, 3), jnp.uint8)
  params = jax.eval_shape(task.init, jax.random.key(0), {})
  drawn = jax.eval_shape(task.draw, params, images, jax.random.key(0))
  assert drawn.pop('loss').shape == (2,)
  assert drawn == dict.fromkeys(task.columns, images)


@pytest.mark.parametrize(
    ('overrides', 'words'),
    [
        ({'data__face_size': 36}, 'config.data.face_size=36: give a multiple'),
        ({'data__face_size': 24}, 'that is at least 32'),
        ({'model__remat': 'dots'}, 'config.model.remat=dots: is for'),
        ({'augment__mean': (0.5, 0.5, 0.5)}, 'set them to 0 and 1'),
        ({'loss__adversarial': -1.0}, 'loss.adversarial=-1.0: give a number'),
    ],
)
def test_a_wrong_value_is_named(overrides, words):
  with pytest.raises(errors.InputError, match=words):
    registry.make_task(runs.smoke('sr', pathlib.Path('unused'), **overrides))


def test_converted_weights_do_not_train():
  with pytest.raises(errors.InputError, match='abaw-jax upscale'):
    registry.make_task({'model': {'name': 'sr', 'network': 'compact'}})
