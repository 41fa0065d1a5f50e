"""VideoMAE and MARLIN give the tokens of Hugging Face's VideoMAE."""

import json
import re
import shutil

import jax
import numpy as np
import pytest
from safetensors import torch as safetensors
import torch
from torch.nn import functional
import transformers

from abaw_jax.bundles import frame_networks, temporal_runs
from abaw_jax.checkpoints import adoption, runs
from abaw_jax.conversion import convert, parity_check
from abaw_jax.core import errors
from abaw_jax.porting import weight_files
from tests.conversion import tiny_vits
from tests.training import runs as smoke_runs

SIZES = tiny_vits.SIZES | {
    'intermediate_size': 24,
    'num_frames': 6,
    'decoder_hidden_size': 8,
    'decoder_num_hidden_layers': 1,
    'decoder_num_attention_heads': 2,
    'decoder_intermediate_size': 16,
}
NETWORKS = {
    'mean': (transformers.VideoMAEForPreTraining, False),
    'mean_norm': (transformers.VideoMAEForVideoClassification, True),
    'mean_raw': (transformers.VideoMAEModel, True),
}


@pytest.fixture(name='networks', scope='module')
def _networks(tmp_path_factory):
  """Returns (network of PyTorch, its folder) by the pooling of the features."""
  found = {}
  for pool, (kind, use_mean_pooling) in NETWORKS.items():
    config = transformers.VideoMAEConfig(
        **SIZES, use_mean_pooling=use_mean_pooling, attn_implementation='eager'
    )
    model = kind(config).eval()
    tiny_vits.randomize(model)
    folder = tmp_path_factory.mktemp(pool)
    model.save_pretrained(folder / 'theirs')
    convert.import_weights(
        folder / 'theirs' / 'model.safetensors', folder / 'ours'
    )
    found[pool] = model, folder
  return found


def frames() -> np.ndarray:
  rng = np.random.default_rng(1)
  return rng.standard_normal((2, 6, 12, 12, 3), np.float32)


def tokens(model: torch.nn.Module) -> torch.Tensor:
  """Returns Hugging Face's tokens [b, tubelets, patches, d] of `frames`."""
  pixels = torch.tensor(frames().transpose(0, 1, 4, 2, 3))
  with torch.no_grad():
    hidden = getattr(model, 'videomae', model)(pixels).last_hidden_state
  return hidden.reshape(2, 3, 9, 16)


@pytest.mark.parametrize('pool', NETWORKS)
def test_features_are_means_of_the_tokens_of_a_tubelet(networks, pool):
  theirs, folder = networks[pool]
  section, ours, params = tiny_vits.load(folder / 'ours')
  assert section['pool'] == pool
  have = jax.jit(lambda x: ours.apply({'params': params}, x, train=False))(
      frames()
  )
  want = tokens(theirs).mean(2)
  if pool == 'mean_norm':
    want = theirs.fc_norm(want)
  want = want.detach().numpy()
  np.testing.assert_allclose(have, want, atol=2e-5 * np.abs(want).max())


def test_the_mean_of_a_window_gives_the_logits_of_hugging_face(networks):
  theirs, folder = networks['mean_norm']
  _, ours, params = tiny_vits.load(folder / 'ours')
  ours = ours.clone(span='window')
  have = jax.jit(lambda x: ours.apply({'params': params}, x, train=False))(
      frames()
  )
  assert have.shape == (2, 1, 16)
  with torch.no_grad():
    logits = theirs.classifier(torch.tensor(np.asarray(have[:, 0]))).numpy()
    want = theirs(
        torch.tensor(frames().transpose(0, 1, 4, 2, 3))
    ).logits.numpy()
  np.testing.assert_allclose(logits, want, atol=2e-5 * np.abs(want).max())


def stacked(state: dict) -> dict:
  """Returns a state dict with one layer for query, key and value."""
  state = dict(state)
  for name in [x for x in state if x.endswith('.query.weight')]:
    start = name.removesuffix('query.weight')
    parts = [state.pop(f'{start}{x}.weight') for x in ('query', 'key', 'value')]
    state[f'{start}qkv.weight'] = torch.cat(parts)
  return state


def renamed(state: dict, *pairs: tuple[str, str]) -> dict:
  for old, new in pairs:
    state = {re.sub(old, new, name): x for name, x in state.items()}
  return state


BLOCKS = (
    (r'^videomae\.(embeddings|encoder)\.', 'encoder.'),
    (r'\.layer\.', '.blocks.'),
    (r'attention\.attention\.', 'attn.'),
    ('attention.output.dense', 'attn.proj'),
    ('layernorm_before', 'norm1'),
    ('layernorm_after', 'norm2'),
)
# Files of MCG-NJU and OpenGVLab.
ORIGINAL = (
    *BLOCKS,
    (r'patch_embeddings\.projection', 'patch_embed.proj'),
    (r'intermediate\.dense', 'mlp.fc1'),
    (r'(\d)\.output\.dense', r'\1.mlp.fc2'),
    (r'^videomae\.layernorm', 'encoder.norm'),
)
FINE_TUNED = (*ORIGINAL, (r'^encoder\.', ''), ('^classifier', 'head'))
MARLIN = (
    *BLOCKS,
    (r'patch_embeddings\.projection', 'patch_embedding.projection'),
    (r'intermediate\.dense', 'mlp.layers.0.linear'),
    (r'(\d)\.output\.dense', r'\1.mlp.layers.1.linear'),
    (r'^videomae\.layernorm', 'encoder.norm'),
    ('^encoder_to_decoder', 'enc_dec_proj'),
    # Of its decoder, only one tensor, with its own name.
    (r'^(decoder)\.decoder_layers\.0\..*', r'\1.blocks.0.norm1.weight'),
)


@pytest.mark.parametrize(
    ('pool', 'names'),
    [('mean', ORIGINAL), ('mean_norm', FINE_TUNED), ('mean', MARLIN)],
)
def test_the_names_of_the_projects_give_the_same_weights(
    networks, pool, names, tmp_path
):
  _, folder = networks[pool]
  state = safetensors.load_file(folder / 'theirs' / 'model.safetensors')
  state = renamed(stacked(state), *names)
  if names is MARLIN:
    # A float32 table, as in its code; the file has it.
    rates = torch.tensor(10000.0) ** (2 * (torch.arange(16) // 2) / 16)
    table = torch.arange(27.0)[:, None] / rates
    table[:, 0::2], table[:, 1::2] = table[:, 0::2].sin(), table[:, 1::2].cos()
    state['encoder.pos_embedding.emb'] = table[None] + 1e-3
  torch.save({'model': state}, tmp_path / 'x.pth')
  if names is MARLIN:
    sizes = {'n_frames': 6, 'img_size': 12}
    (tmp_path / 'config.json').write_text(json.dumps(sizes))
  else:
    shutil.copy(folder / 'theirs' / 'config.json', tmp_path)
  report = convert.import_weights(
      tmp_path / 'x.pth', tmp_path / 'other', num_heads=2
  )
  assert any(line.startswith('left_out') for line in report)
  config = runs.read_config(tmp_path / 'other')
  expected = runs.read_config(folder / 'ours')
  found, weights = (
      weight_files.read_tensors(x / 'weights.safetensors')[0]
      for x in (tmp_path / 'other', folder / 'ours')
  )
  if names is MARLIN:
    expected['model'] |= {
        'pool': 'mean_norm', 'positions': 'learned', 'norm_eps': 1e-5,
    }  # fmt: skip
    expected['augment'] |= {
        'mean': (0.0,) * 3, 'std': (1.0,) * 3, 'fit': 'squash',
        'filter': 'opencv_linear',
    }  # fmt: skip
    weights['backbone/pos_embed'] = state['encoder.pos_embedding.emb'].numpy()
  assert config == expected
  assert found.keys() == weights.keys()
  for key, value in weights.items():
    np.testing.assert_array_equal(found[key], value, key)


def test_positions_of_another_image_size_are_resampled(networks, tmp_path):
  theirs, folder = networks['mean_raw']
  convert.import_weights(
      folder / 'theirs' / 'model.safetensors', tmp_path / 'out', image_size=20
  )
  table = theirs.embeddings.position_embeddings.reshape(3, 3, 3, 16)
  want = functional.interpolate(
      table.permute(0, 3, 1, 2), size=(5, 5), mode='bicubic'
  )
  want = want.permute(0, 2, 3, 1).reshape(1, 75, 16)
  found, _ = weight_files.read_tensors(tmp_path / 'out' / 'weights.safetensors')
  np.testing.assert_allclose(found['backbone/pos_embed'], want, atol=1e-5)


def test_other_uses_of_a_video_network_are_refused(networks, tmp_path):
  folder = networks['mean'][1] / 'ours'
  config = smoke_runs.smoke('frame', '', init_from=str(folder))
  with pytest.raises(errors.InputError, match='abaw-jax extract'):
    adoption.adopt(config, tmp_path)
  with pytest.raises(errors.InputError, match='is only read'):
    convert.export_weights(folder, tmp_path / 'x.pth')
  with pytest.raises(errors.InputError, match='--verify'):
    parity_check.check_outputs(folder, tmp_path / 'x.npz')
  run = temporal_runs.TemporalRun(
      workdir=tmp_path,
      section={},
      params={},
      cards={'videomae': {'model': runs.read_config(folder)['model']}},
      labels=frame_networks.Labels(
          outputs=(), expressions=(), aus=(), untrained={}
      ),
      sha256='',
      provenance={},
  )
  with pytest.raises(errors.InputError, match='reads frame by frame'):
    temporal_runs.read_features_network(folder, run)


def test_a_window_must_be_filled(networks, tmp_path):
  theirs = networks['mean'][1] / 'theirs'
  shutil.copy(theirs / 'model.safetensors', tmp_path)
  config = (theirs / 'config.json').read_text()
  config = config.replace('"num_frames": 6', '"num_frames": 5')
  (tmp_path / 'config.json').write_text(config)
  with pytest.raises(errors.InputError, match='num_frames 5 is no multiple'):
    convert.import_weights(tmp_path / 'model.safetensors', tmp_path / 'out')
