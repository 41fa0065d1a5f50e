"""The networks equal PyTorch's: outputs, a training step, layouts and sizes."""

import pathlib

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from abaw_jax.core import errors
from abaw_jax.models import zoo
from abaw_jax.models.super_resolution import compact, pixels, rrdb
from abaw_jax.porting import registry
from abaw_jax.porting.layouts import real_esrgan, state_dicts
from benchmarks.twins import super_resolution as twins

CHECKPOINT = pathlib.Path('x.pth')
RRDB = {'width': 8, 'growth': 4, 'blocks': 1}
COMPACT = {'scale': 3, 'width': 8, 'convs': 2}
# By name: our network, PyTorch's, and the name of the layout.
NETWORKS = {
    **{
        f'rrdb_x{scale}': (
            rrdb.RRDBNet(scale, **RRDB),
            lambda scale=scale: twins.RRDBNet(scale, **RRDB),
            'rrdb',
        )
        for scale in (1, 2, 4)
    },
    'compact': (
        compact.SRVGGNetCompact(**COMPACT),
        lambda: twins.SRVGGNetCompact(**COMPACT),
        'compact',
    ),
}
# Published by BasicSR and Real-ESRGAN.
PUBLISHED = {
    'x4plus': (rrdb.RRDBNet(4, 64, 32, 23), 16_697_987),
    'x4plus_anime_6B': (rrdb.RRDBNet(4, 64, 32, 6), 4_467_779),
    'animevideov3': (compact.SRVGGNetCompact(4, 64, 16), 621_424),
    'general_x4v3': (compact.SRVGGNetCompact(4, 64, 32), 1_213_296),
}


@pytest.fixture(name='case', params=['rrdb_x2', 'rrdb_x4', 'compact'])
def _case(request):
  """Returns our network, PyTorch's with random weights, and the layout."""
  model, make, layout = NETWORKS[request.param]
  torch.manual_seed(0)
  twin = make()
  for name, tensor in twin.state_dict().items():
    if tensor.ndim > 1:
      torch.nn.init.kaiming_normal_(tensor)
    elif name.endswith('bias'):
      tensor.normal_(0.0, 0.1)
    else:
      tensor.uniform_(-0.5, 0.5)  # slopes
  return model, twin, registry.LAYOUTS[layout]


def images(height: int = 8, width: int = 12) -> jax.Array:
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.random((2, height, width, 3), np.float32))


def rules(model, layout) -> tuple[dict, dict]:
  """Returns shapes and rules of the parameters by path."""
  tree = jax.eval_shape(model.init, jax.random.key(0), images())['params']
  flat = traverse_util.flatten_dict(tree, sep='/')
  section = {'convs': getattr(model, 'convs', 0)}
  return (
      {path: x.shape for path, x in flat.items()},
      {path: layout.make_rule(path, section) for path in flat},
  )


def to_ours(model, twin, layout):
  shapes, found = rules(model, layout)
  tensors = {k: x.numpy() for k, x in twin.state_dict().items()}
  flat = state_dicts.to_ours(tensors, shapes, found, CHECKPOINT)
  return traverse_util.unflatten_dict(flat, sep='/')


def to_torch(x) -> torch.Tensor:
  return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


def test_outputs_and_a_step_equal_torch(case):
  model, twin, layout = case
  params = to_ours(model, twin, layout)
  inputs = images()
  out = twin(to_torch(inputs))
  target = np.random.default_rng(1).random(
      (2, 8 * model.scale, 12 * model.scale, 3), np.float32
  )

  def loss(params):
    found = model.apply({'params': params}, inputs)
    return jnp.mean(jnp.square(found - target)), found

  grads, found = jax.jit(jax.grad(loss, has_aux=True))(params)
  want = out.detach().numpy().transpose(0, 2, 3, 1)
  np.testing.assert_allclose(found, want, atol=1e-4 * np.abs(want).max())
  torch.mean(torch.square(out - to_torch(target))).backward()
  named = dict(twin.named_parameters())
  flat = traverse_util.flatten_dict(grads, sep='/')
  for path, rule in rules(model, layout)[1].items():
    want = rule.to_ours(named[rule.name].grad.numpy())
    tolerance = 1e-4 * np.abs(want).max() + 1e-7
    np.testing.assert_allclose(flat[path], want, atol=tolerance, err_msg=path)


@pytest.mark.parametrize('case', NETWORKS, indirect=True)
def test_layouts_identify_a_network_and_write_it_back(case):
  model, twin, layout = case
  tensors = {k: x.numpy() for k, x in twin.state_dict().items()}
  assert registry.LAYOUTS[registry.detect_layout(tensors, CHECKPOINT)] is layout
  section = layout.infer_model(
      {k: x.shape for k, x in tensors.items()}, CHECKPOINT
  )
  made = zoo.make_model(**section, dtype='float32')
  assert made.generator.clone(parent=None, name=None) == model
  found = rules(model, layout)[1]
  flat = traverse_util.flatten_dict(to_ours(model, twin, layout), sep='/')
  back = state_dicts.to_theirs(flat, found)
  assert back.keys() == tensors.keys()
  for name, value in tensors.items():
    np.testing.assert_array_equal(back[name], value, err_msg=name)


@pytest.mark.parametrize(
    ('infer', 'shapes', 'words'),
    [
        (
            real_esrgan.infer_rrdb,
            {
                'conv_first.weight': (8, 4, 3, 3),
                'body.0.rdb1.conv1.weight': (4, 8, 3, 3),
            },
            'conv_first.weight reads 4 channels',
        ),
        (
            real_esrgan.infer_rrdb,
            {'conv_first.weight': (8, 3, 3, 3)},
            'body.0.rdb1.conv1.weight is missing',
        ),
        (
            real_esrgan.infer_compact,
            {
                'body.0.weight': (8, 3, 3, 3),
                'body.1.weight': (8,),
                'body.2.weight': (7, 8, 3, 3),
            },
            'body.2.weight makes 7 channels',
        ),
    ],
)
def test_wrong_shapes_name_the_file_and_the_tensor(infer, shapes, words):
  with pytest.raises(errors.InputError, match=f'x.pth: {words}'):
    infer(shapes, CHECKPOINT)


@pytest.mark.parametrize('name', PUBLISHED)
def test_networks_have_the_published_sizes(name):
  model, count = PUBLISHED[name]
  shapes = jax.eval_shape(model.init, jax.random.key(0), images(8, 8))
  assert sum(x.size for x in jax.tree.leaves(shapes)) == count


@pytest.mark.parametrize('case', ['rrdb_x2', 'compact'], indirect=True)
def test_flops_equal_the_products_of_torch(case):
  model, twin, _ = case
  total = 0

  def add(layer, _, out):
    nonlocal total
    total += 2 * out.numel() * layer.weight[0].numel()

  for layer in twin.modules():
    if isinstance(layer, torch.nn.Conv2d):
      layer.register_forward_hook(add)
  twin(torch.zeros(1, 3, 8, 12))
  assert model.flops(8, 12) == total


@pytest.mark.parametrize('case', ['rrdb_x2', 'compact'], indirect=True)
def test_the_receptive_field_bounds_the_pixels_that_matter(case):
  """Counts pixels of the input whose gradient is not zero."""
  model, *_ = case
  side = 2 * model.receptive_field + 16 & ~3
  inputs = images(side, 4)
  params = jax.jit(model.init)(jax.random.key(0), inputs)
  middle = side // 2 * model.scale
  reached = jax.jit(
      jax.grad(lambda x: model.apply(params, x)[:, middle].sum())
  )(inputs)
  rows = np.flatnonzero(np.abs(reached).max((0, 2, 3)))
  radius = max(middle // model.scale - rows[0], rows[-1] - side // 2)
  assert 0 <= model.receptive_field - radius <= 4 * rrdb.UNSHUFFLE.get(1)


@pytest.mark.parametrize('case', ['rrdb_x2', 'compact'], indirect=True)
def test_bfloat16_stays_near_float32(case):
  model, twin, layout = case
  params = {'params': to_ours(model, twin, layout)}
  # Weights of an untrained network, so that values stay in the range of images.
  params = jax.tree.map(lambda x: 0.3 * x, params)
  want, found = (
      jax.jit(x.apply)(params, images())
      for x in (model, model.clone(dtype=jnp.bfloat16))
  )
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found, want, atol=0.02 * np.abs(want).max())


def test_initial_weights_have_the_published_spread():
  """Kaiming normal times 0.1 in dense blocks, PyTorch's default elsewhere."""
  keys, maps = jax.random.split(jax.random.key(0)), jnp.zeros((1, 4, 4, 64))
  block = rrdb.DenseBlock(32).init(keys[0], maps)['params']['conv3']
  fan_in = 9 * (64 + 2 * 32)
  assert np.std(block['kernel']) == pytest.approx(
      0.1 * np.sqrt(2 / fan_in), rel=0.02
  )
  assert not block['bias'].any()
  torch.manual_seed(0)
  want = twins.conv(64, 64)
  conv = pixels.conv(64, 64, dtype=jnp.float32, name='x').clone(parent=None)
  found = conv.init(keys[1], maps)['params']
  for ours, theirs in (('kernel', want.weight), ('bias', want.bias)):
    theirs = theirs.detach().numpy()
    assert np.std(found[ours]) == pytest.approx(np.std(theirs), rel=0.15)
    assert np.abs(found[ours]).max() == pytest.approx(
        np.abs(theirs).max(), rel=0.05
    )
