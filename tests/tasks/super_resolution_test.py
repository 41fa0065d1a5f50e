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
from abaw_jax.checkpoints import weights
from abaw_jax.core import errors
from abaw_jax.inference import evaluation
from abaw_jax.models.layers import variables
from abaw_jax.porting.layouts import registry as layouts
from abaw_jax.steps import optimization, skipping, steps
from abaw_jax.tasks import registry
from abaw_jax.telemetry import journal
from abaw_jax.training import loop
from benchmarks.torch_twins import super_resolution as twins
from tests.training import runs

SIDE, STEPS, FAILS_AT = 32, 3, 5
RATE, DISCRIMINATOR_RATE, EPSILON = 1e-2, 0.5, 1e-4


class Mean(degradation.Degradation):  # without random choices

  def __call__(self, keys, images):
    b, h, w, c = images.shape
    return images.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))


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


def test_three_updates_equal_alternating_updates_in_torch():
  settings = config(
      optim__eps=EPSILON,
      optim__discriminator_rate=DISCRIMINATOR_RATE,
      optim__ema=0.0,
      loss__adversarial=0.5,
  )
  task = registry.make_task(settings)
  mean = Mean(**vars(task.degradation))
  task = dataclasses.replace(task, degradation=mean)
  optimizer = skipping.skip_non_finite(
      optimization.make_optimizer(task, lambda step: RATE)
  )
  state = steps.init_state(
      jax.random.key(0), {}, task=task, optimizer=optimizer
  )
  first = jax.device_get(state.params)
  step = jax.jit(
      functools.partial(
          steps.train_step, task=task, optimizer=optimizer, seed=0
      )
  )
  for images in batches():
    state, _ = step(state, {'image': jnp.asarray(images)})

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


class Interrupted(Exception):
  """Ends a run in the middle."""


class FailingJournal(journal.Journal):

  def note(self, step, metrics):
    if step == FAILS_AT:
      raise Interrupted
    super().note(step, metrics)


def lines(workdir: pathlib.Path) -> list[dict[str, float]]:
  found = runs.metrics(workdir).values()
  return [{k: x[k] for k in x.keys() - runs.TIMED} for x in found]


def test_the_second_stage_starts_from_the_first_and_resumes(
    data_dir, tmp_path, monkeypatch, capsys
):
  options = {
      'data__face_size': SIDE,
      'model__image_size': SIDE,
      'epochs': 0.7,
      'save_steps': 2,
      'log_steps': 1,
      'plot_steps': 4,
  }
  net, whole, part = (tmp_path / name for name in ('net', 'whole', 'part'))
  loop.train(
      runs.smoke('sr', data_dir, model__discriminator_width=0, **options), net
  )
  (scores,) = runs.metrics(net, 'validation').values()
  assert 5 < scores['PSNR'] < scores['lanczos_PSNR'] < 40
  gan = runs.smoke('sr', data_dir, init_from=str(net), **options)
  with monkeypatch.context() as patch:
    patch.setattr(journal, 'Journal', FailingJournal)
    with pytest.raises(Interrupted):
      loop.train(gan, part)
  assert f'starting generator from {net}' in capsys.readouterr().out
  loop.train(gan, part)
  assert 'resuming from step' in capsys.readouterr().out
  loop.train(gan, whole)
  assert lines(part) == lines(whole)
  assert {'l1', 'generator', 'discriminator'} <= lines(whole)[0].keys()
  assert list((whole / 'plots').glob('enlarged*.png'))
  scores = evaluation.evaluate(part, 'validation')
  assert scores == evaluation.evaluate(whole, 'validation')
  # A second stage starts from another one with its discriminator.
  shapes = jax.eval_shape(registry.make_task(gan).init, jax.random.key(0), {})
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  shapes = jax.tree.map(lambda x: x.update(sharding=place), shapes)
  loaded, _ = weights.load(whole, gan['model'], shapes)
  assert loaded.keys() == {'generator', 'discriminator', 'batch_stats'}


@pytest.mark.parametrize(
    ('overrides', 'words'),
    [
        ({'data__face_size': 36}, 'config.data.face_size=36: give a multiple'),
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
