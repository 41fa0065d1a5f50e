"""Converted ViTs and MAEs give PyTorch's outputs; export is exact."""

import argparse
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from abaw_jax.checkpoints import runs, weights
from abaw_jax.conversion import convert as conversion
from abaw_jax.core import errors
from abaw_jax.models import zoo
from abaw_jax.models.vision import mae
from abaw_jax.porting import weight_files
from tests.tasks import torch_weights


@pytest.fixture(scope='module')
def reference():
  return torch_weights.hugging_face_mae()


@pytest.fixture(scope='module')
def state(reference) -> torch_weights.State:
  """Returns the weights of the MAE with its decoder."""
  return torch_weights.mae_state(reference)


@pytest.fixture
def convert(tmp_path):
  """Returns a function from a state dict to a converted folder."""

  def import_state(
      state, name='weights', extra=None, **options
  ) -> pathlib.Path:
    path = tmp_path / f'{name}.pth'
    torch.save({'model': state} | (extra or {}), path)
    conversion.import_weights(path, tmp_path / name, **options)
    return tmp_path / name

  return import_state


def images(size: int, count: int = 3) -> np.ndarray:
  """Returns normalised images [b, h, w, 3]."""
  rng = np.random.default_rng(1)
  return rng.standard_normal((count, size, size, 3), np.float32)


def load(folder: pathlib.Path):
  """Returns the model of a folder, and its parameters."""
  section = runs.read_config(folder)['model']
  shapes = conversion.param_shapes(section)
  params, _ = weights.load(folder, section, shapes)
  return zoo.make_model(**section), params


def apply(folder: pathlib.Path, pixels: np.ndarray) -> np.ndarray:
  """Returns the logits of a converted classifier."""
  model, params = load(folder)
  return jax.jit(lambda x: model.apply({'params': params}, x, train=False))(
      pixels
  )


def to_torch(pixels: np.ndarray) -> torch.Tensor:
  return torch.tensor(pixels.transpose(0, 3, 1, 2))


def card(folder: pathlib.Path) -> dict:
  return json.loads((folder / 'card.json').read_text())


def test_a_mae_gives_the_output_of_hugging_face(reference, state, convert):
  folder = convert(state, decoder_num_heads=torch_weights.DECODER_HEADS)
  model, params = load(folder)
  pixels = images(torch_weights.IMAGE)
  noise = np.random.default_rng(2).random((3, 16), np.float32)
  out = reference(pixel_values=to_torch(pixels), noise=torch.tensor(noise))
  run = jax.jit(lambda *x: model.apply({'params': params}, *x, train=False))
  pred, mask = run(pixels, noise)
  losses = mae.reconstruction_loss(
      jnp.asarray(pixels),
      pred,
      mask,
      patch_size=torch_weights.PATCH,
      norm_pix=model.norm_pix,
  )
  # float32 sums differ in order; predictions are of order 1 to 10.
  np.testing.assert_allclose(pred, out.logits.detach(), atol=1e-4)
  np.testing.assert_allclose(losses.mean(), out.loss.item(), atol=1e-4)
  np.testing.assert_array_equal(mask, out.mask.numpy().astype(bool))
  assert (
      'encoder/pos_embed'
      not in weight_files.read_tensors(folder / 'weights.safetensors')[0]
  )


@pytest.mark.parametrize('norm', ['norm', 'fc_norm'])
def test_a_fine_tuned_vit_gives_the_logits_of_torch(state, convert, norm):
  state = torch_weights.fine_tuned_state(state, norm=norm)
  folder = convert(state, preprocessing='imagenet')
  pixels = images(torch_weights.IMAGE)
  expected = torch_weights.vit_forward(state, to_torch(pixels))
  np.testing.assert_allclose(
      apply(folder, pixels)['logits'], expected, atol=1e-4
  )
  section = runs.read_config(folder)['model']
  assert section['positions'] == 'learned'
  assert section['pool'] == {'norm': 'cls', 'fc_norm': 'mean_norm'}[norm]
  assert card(folder)['labels']['classes'] == 5


def test_a_classifier_without_bias_is_that_of_a_bias_of_zero(state, convert):
  # As the fine-tuned networks of FMAE; MAE-Face has the names of a MAE's encoder.
  state = torch_weights.fine_tuned_state(state, norm='fc_norm')
  state['head.bias'] = torch.zeros(5)
  folders = [convert(state, 'zeros', preprocessing='imagenet')]
  del state['head.bias']
  folders.append(convert(state, 'without', preprocessing='imagenet'))
  expected, found = (
      weight_files.read_tensors(x / 'weights.safetensors')[0] for x in folders
  )
  assert found.keys() == expected.keys()
  for name, value in expected.items():
    np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize('size', [24, 56])
def test_another_image_size_resamples_the_positions(state, convert, size):
  state = torch_weights.fine_tuned_state(state, norm='fc_norm')
  folder = convert(state, image_size=size, preprocessing='half')
  old, new = (x // torch_weights.PATCH for x in (torch_weights.IMAGE, size))
  # Like interpolate_pos_embed of facebookresearch/mae.
  table = state['pos_embed']
  grid = table[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
  grid = functional.interpolate(
      grid, size=(new, new), mode='bicubic', align_corners=False
  )
  grid = grid.permute(0, 2, 3, 1).flatten(1, 2)
  state = state | {'pos_embed': torch.cat([table[:, :1], grid], dim=1)}
  pixels = images(size)
  np.testing.assert_allclose(
      apply(folder, pixels)['logits'],
      torch_weights.vit_forward(state, to_torch(pixels)),
      atol=1e-4,
  )


def test_an_encoder_gives_the_embedding_of_hugging_face(
    reference, state, convert
):
  folder = convert(torch_weights.encoder_state(state))
  pixels = images(torch_weights.IMAGE)
  # Without masking and shuffling, the encoder of a MAE is a plain ViT.
  reference.config.mask_ratio, before = 0.0, reference.config.mask_ratio
  hidden = reference.vit(
      pixel_values=to_torch(pixels),
      noise=torch.arange(16.0).expand(3, 16),
  ).last_hidden_state
  reference.config.mask_ratio = before
  np.testing.assert_allclose(
      apply(folder, pixels)['embedding'],
      hidden[:, 1:].mean(dim=1).detach(),
      atol=1e-4,
  )
  assert runs.read_config(folder)['model']['positions'] == 'sincos'


def test_round_trip_is_exact(state, convert, tmp_path):
  states = {
      'mae': state,
      'encoder': torch_weights.encoder_state(state),
      'cls': torch_weights.fine_tuned_state(state, norm='norm'),
      'mean': torch_weights.fine_tuned_state(state, norm='fc_norm'),
  }
  for name, expected in states.items():
    heads = {'decoder_num_heads': 4} if name == 'mae' else {}
    folder = convert(expected, name, preprocessing='imagenet', **heads)
    for suffix in ('pth', 'safetensors'):
      conversion.export_weights(folder, tmp_path / f'{name}.back.{suffix}')
    back = torch.load(tmp_path / f'{name}.back.pth', weights_only=True)['model']
    again, _ = weight_files.read_tensors(tmp_path / f'{name}.back.safetensors')
    assert set(back) == set(again) == set(expected)
    for key, value in expected.items():
      assert torch.equal(back[key], value), (name, key)
      np.testing.assert_array_equal(again[key], value.numpy())


@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16])
def test_the_card_describes_the_source(state, convert, tmp_path, kind):
  folder = convert(
      {name: value.to(kind) for name, value in state.items()},
      decoder_num_heads=4,
  )
  found = card(folder)
  assert found['source'] == 'weights.pth'
  assert found['source_sha256'] == weight_files.sha256(tmp_path / 'weights.pth')
  assert found['weights_sha256'] == weight_files.sha256(
      folder / 'weights.safetensors'
  )
  assert 'CC BY-NC 4.0' in found['licence']
  assert found['preprocessing'] == {
      'image_size': 32,
      'mean': [0.485, 0.456, 0.406],
      'std': [0.229, 0.224, 0.225],
      'color_order': 'RGB',
      'fit': 'crop',
      'filter': 'bicubic',
  }
  assert found['labels'] is None
  assert found['report']['mapped'] == len(state)
  assert found['report']['dtypes'] == {
      str(kind).removeprefix('torch.'): len(state)
  }


def test_training_arguments_give_norm_pix(state, convert):
  arguments = argparse.Namespace(norm_pix_loss=False, lr=1e-3, output='runs')
  extra = {'args': arguments, 'epoch': 3, 'scaler': {'scale': 65536.0}}
  for name, options, norm_pix in (
      ('default', {}, True),
      ('from_file', {'extra': extra}, False),
      ('option', {'extra': extra, 'norm_pix': True}, True),
  ):
    folder = convert(state, name, decoder_num_heads=4, **options)
    assert runs.read_config(folder)['model']['norm_pix'] is norm_pix


def test_every_missing_extra_and_misshapen_name_is_listed(state, convert):
  state = state | {
      'blocks.0.attn.qkv.weight': torch.zeros(192, 63),
      'rope': torch.zeros(3),
      'blocks.1.ls1.gamma': torch.zeros(3),
  }
  del state['norm.bias'], state['decoder_blocks.0.mlp.fc2.weight']
  with pytest.raises(errors.InputError) as error:
    convert(state, decoder_num_heads=4)
  message = str(error.value)
  for text in (
      'weights.pth',
      'missing norm.bias',
      'missing decoder_blocks.0.mlp.fc2.weight',
      'extra rope',
      'extra blocks.1.ls1.gamma',
      'blocks.0.attn.qkv.weight is (192, 63), the model wants (192, 64)',
  ):
    assert text in message
  assert '\n' not in message


@pytest.mark.parametrize(
    'options', [{'decoder_num_heads': 4}, {'norm_pix': False}]
)
def test_options_of_a_decoder_need_one(state, convert, options):
  encoder = torch_weights.encoder_state(state)
  with pytest.raises(
      errors.InputError, match=f'--{next(iter(options))}=.*MAEs'
  ):
    convert(encoder, preprocessing='imagenet', **options)


@pytest.mark.parametrize(
    ('change', 'options', 'texts'),
    [
        ({}, {}, ('width of 32', 'give --decoder_num_heads')),
        (
            {},
            {'decoder_num_heads': 5},
            ('width of 32', '--decoder_num_heads=5'),
        ),
        ({}, {'num_heads': 5}, ('width of 64', '--num_heads=5')),
        ({}, {'image_size': 30}, ('--image_size=30', 'patches of 8 pixels')),
        (
            {'decoder_pos_embed': torch.zeros(1, 17, 32)},
            {},
            ('decoder_pos_embed', 'sine-cosine'),
        ),
        (
            {'decoder_pos_embed': torch.full((1, 17, 32), torch.nan)},
            {},
            ('decoder_pos_embed has NaN or Inf',),
        ),
        ({'pos_embed': torch.zeros(1, 18, 64)}, {}, ('17 patches', 'cls')),
        ({'pos_embed': torch.zeros(17, 64)}, {}, ('pos_embed', '(17, 64)')),
    ],
)
def test_wrong_input_gives_a_message(state, convert, change, options, texts):
  if change or 'num_heads' in options or 'image_size' in options:
    options = {'decoder_num_heads': 4} | options
  with pytest.raises(errors.InputError) as error:
    convert(state | change, **options)
  assert [text for text in texts if text not in str(error.value)] == []


def test_unusual_sizes_are_kept(state, convert):
  folder = convert(state, num_heads=4, decoder_num_heads=4)
  model, _ = load(folder)
  assert (model.encoder.num_heads, model.encoder.dim) == (4, 64)
  with pytest.raises(errors.InputError, match='already exists with another'):
    convert(state, num_heads=8, decoder_num_heads=4)
  convert(state, num_heads=4, decoder_num_heads=4)  # same weights: no error


def test_an_unknown_architecture_is_refused(convert):
  with pytest.raises(errors.InputError, match='no known architecture') as error:
    convert({'layer1.0.conv1.weight': torch.zeros(3, 3)})
  assert 'layer1.0.conv1.weight' in str(error.value)
