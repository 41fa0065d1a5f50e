"""DINOv2, DINOv3, CLIP and SigLIP give the outputs of Hugging Face's networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import torch as safetensors
import torch

from abaw_jax.checkpoints import adoption
from abaw_jax.conversion import convert
from abaw_jax.core import errors, files
from abaw_jax.models import zoo
from abaw_jax.porting import weight_files
from tests.conversion import tiny_vits
from tests.training import runs as smoke_runs


@pytest.fixture(scope='module', params=tiny_vits.NETWORKS)
def converted(request, tmp_path_factory):
  """Returns a network of PyTorch, and the folder of its converted weights."""
  folder = tmp_path_factory.mktemp(request.param)
  return tiny_vits.save(request.param, folder), folder / 'ours'


def test_every_block_and_the_gradient_are_those_of_hugging_face(converted):
  theirs, folder = converted
  _, ours, params = tiny_vits.load(folder)
  rng = np.random.default_rng(1)
  pixels = rng.standard_normal((2, 12, 12, 3), np.float32)
  probe = rng.standard_normal(16, np.float32)

  hidden = []
  for block in [
      x for x in theirs.modules() if type(x).__name__.endswith('Layer')
  ]:
    block.register_forward_hook(
        lambda _, __, out: hidden.append(
            out[0] if isinstance(out, tuple) else out
        )
    )
  images = torch.tensor(pixels.transpose(0, 3, 1, 2), requires_grad=True)
  embedding = theirs(pixel_values=images).pooler_output
  (embedding @ torch.tensor(probe)).sum().backward()

  @jax.jit
  @functools.partial(jax.value_and_grad, has_aux=True)
  def run(pixels):
    """Returns the sum of the embedding, and tokens after each block with it."""
    outputs = []
    for depth in (1, 2):
      part = ours.clone(depth=depth)
      kept = {k: x for k, x in params.items() if k != f'blocks_{depth}'}
      outputs.append(
          part.apply({'params': kept}, pixels, train=False, method='encode')
      )
    outputs.append(ours.apply({'params': params}, pixels, train=False))
    return jnp.sum(outputs[-1] @ probe), outputs

  (_, have), gradient = run(pixels)
  assert len(hidden) == 2
  for x, y in zip(have, [*hidden, embedding], strict=True):
    y = y.detach().numpy()
    np.testing.assert_allclose(x, y, atol=1e-5 * np.abs(y).max())
  grad = images.grad.numpy().transpose(0, 2, 3, 1)
  np.testing.assert_allclose(gradient, grad, atol=1e-5 * np.abs(grad).max())


def test_a_frame_model_gets_the_network_of_its_weights(converted, tmp_path):
  _, folder = converted
  config = smoke_runs.smoke('frame', '', init_from=str(folder))
  adopted, lines = adoption.adopt(config, tmp_path, {'model.drop_path'})
  section, ours, _ = tiny_vits.load(folder)
  dtype = {'dtype': zoo.make_backbone(adopted['model']).dtype}
  rates = {'drop_path': config['model']['drop_path']}
  assert zoo.make_backbone(adopted['model']) == ours.clone(**dtype, **rates)
  assert any('config.model.patch_size=4' in line for line in lines)
  kept, _ = adoption.adopt(config, tmp_path, {'model.pool'})
  assert kept['model']['pool'] == 'mean' != section['pool']
  # A run that resumes does not need the weights.
  files.write_json(tmp_path / 'config.json', adopted)
  gone = config | {'init_from': str(tmp_path / 'gone')}
  assert adoption.adopt(gone, tmp_path)[0]['model'] == adopted['model']


@pytest.mark.parametrize(
    ('name', 'size'), [('dinov2', 8), ('dinov2_registers', 8), ('siglip', 20)]
)
def test_positions_are_resampled_like_those_of_hugging_face(
    name, size, tmp_path
):
  theirs = tiny_vits.network(name)
  theirs.save_pretrained(tmp_path / 'theirs')
  convert.import_weights(
      tmp_path / 'theirs' / 'model.safetensors',
      tmp_path / 'ours',
      image_size=size,
  )
  pixels = torch.zeros(1, 3, size, size)
  options = {} if 'dinov2' in name else {'interpolate_pos_encoding': True}
  want = theirs.embeddings(pixels, **options)[0, -((size // 4) ** 2) :]
  want -= (
      theirs.embeddings.patch_embeddings(pixels)[0]
      if 'dinov2' in name
      else (theirs.embeddings.patch_embedding(pixels).flatten(2)[0].T)
  )
  have, _ = weight_files.read_tensors(tmp_path / 'ours' / 'weights.safetensors')
  table = have['backbone/pos_embed'][0, -len(want) :]
  np.testing.assert_allclose(table, want.detach(), atol=1e-5)


def test_clip_without_its_config_asks_for_the_activation(tmp_path):
  path = tmp_path / 'clip.safetensors'
  safetensors.save_file(tiny_vits.network('clip').state_dict(), path)
  with pytest.raises(errors.InputError, match='--activation=quick_gelu'):
    convert.import_weights(path, tmp_path / 'out', num_heads=2)


def test_the_network_of_weights_is_checked(tmp_path):
  model = {'dim': 16, 'depth': 1, 'num_heads': 2, 'backbone': '', 'name': 'mae'}
  with pytest.raises(errors.InputError, match='no num_registers'):
    zoo.make_model(
        **model, num_registers=2, patch_size=4, image_size=8, drop_path=0.0,
        positions='sincos', remat='none', scan=False, dtype='float32',
        decoder_dim=8, decoder_depth=1, decoder_num_heads=1, mask_ratio=0.5,
        norm_pix=False,
    )  # fmt: skip
