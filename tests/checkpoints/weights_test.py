"""A folder of weights gives the same initial weights as a workdir."""

import functools
import io
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
import torch

from abaw_jax.checkpoints import adoption, weights
from abaw_jax.conversion import convert
from abaw_jax.core import errors, files
from abaw_jax.data import sources
from abaw_jax.distributed import sharding
from abaw_jax.inference import evaluation, extraction
from abaw_jax.models import zoo
from abaw_jax.porting import weight_files
from abaw_jax.porting.layouts import preprocessing
from abaw_jax.tasks import registry
from abaw_jax.training import loop
from tests.tasks import torch_weights
from tests.training import runs


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
  """Returns folders of weights for 64 pixel images: `mae`, `vit`, `tuned`."""
  root = tmp_path_factory.mktemp('weights')
  mae = torch_weights.mae_state(
      torch_weights.hugging_face_mae(image=64, patch=16)
  )
  states = {
      'mae': mae,
      'vit': torch_weights.encoder_state(mae),
      'tuned': torch_weights.fine_tuned_state(mae, norm='norm'),
  }
  for name, state in states.items():
    torch.save({'model': state}, root / f'{name}.pth')
    convert.import_weights(
        root / f'{name}.pth',
        root / name,
        decoder_num_heads=4 if name == 'mae' else None,
        preprocessing='hf_vit' if name == 'tuned' else 'imagenet',
    )
  return root


# The `model` section of converted weights.
CONVNET = {
    'name': 'convnet',
    'backbone': 'rexnet_100',
    'image_size': 224,
    'remat': 'none',
    'dtype': 'float32',
}


def section(name: str, **changes) -> dict:
  """Returns the `model` section of a smoke config, with the decoder above."""
  config = runs.CONFIGS[name].get_config('smoke').to_dict()['model']
  if name == 'mae':
    config |= {
        'decoder_dim': torch_weights.DECODER_DIM,
        'decoder_depth': torch_weights.DECODER_DEPTH,
        'decoder_num_heads': torch_weights.DECODER_HEADS,
    }
  return config | changes


def shapes_of(model: dict):
  """Returns the shapes of a model's parameters, on one device."""
  made = zoo.make_model(**model)
  arguments = [np.zeros((1, 64, 64, 3), np.float32)]
  if model['name'] == 'mae':
    arguments.append(np.zeros((1, 16), np.float32))
  init = functools.partial(made.init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), *arguments)['params']
  place = sharding.replicated(sharding.make_mesh(fsdp=1))
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes
  )


@pytest.mark.parametrize(
    ('origin', 'target', 'part'),
    [
        ('mae', 'mae', 'encoder'),
        ('mae', 'frame', 'backbone'),
        ('vit', 'frame', 'backbone'),
        ('vit', 'mae', 'encoder'),
    ],
)
def test_weights_start_models_with_the_same_backbone(
    folders, origin, target, part
):
  model = section(target)
  params, source = weights.load(folders / origin, model, shapes_of(model))
  path = folders / origin / 'weights.safetensors'
  stored, _ = weight_files.read_tensors(path)
  assert source == {'weights': origin, 'sha256': weight_files.sha256(path)}
  has_all_parts = origin == target
  assert ('decoder_embed' in params) is has_all_parts
  assert set(params) == set(shapes_of(model)) if has_all_parts else {part}
  prefix = 'encoder' if origin == 'mae' else 'backbone'
  np.testing.assert_array_equal(
      params[part]['blocks_1']['attn']['qkv']['kernel'],
      stored[f'{prefix}/blocks_1/attn/qkv/kernel'],
  )


@pytest.mark.parametrize('origin', ['mae', 'vit', 'tuned'])
def test_the_backbone_of_every_model_can_be_loaded(folders, origin):
  model = section('frame')
  if origin == 'tuned':
    model['positions'] = 'learned'
  shapes = {'backbone': shapes_of(model)['backbone']}
  params, _ = weights.load_backbone(folders / origin, model, shapes)
  assert jax.tree.structure(params) == jax.tree.structure(shapes)


def test_wrong_weights_are_refused(folders, tmp_path):
  damaged = tmp_path / 'damaged'
  shutil.copytree(folders / 'mae', damaged)
  stored, _ = weight_files.read_tensors(folders / 'mae' / 'weights.safetensors')
  stored = {name: value + 1 for name, value in stored.items()}
  (damaged / 'weights.safetensors').unlink()
  weight_files.write_tensors(damaged / 'weights.safetensors', stored)
  cardless = tmp_path / 'cardless'
  shutil.copytree(folders / 'mae', cardless)
  (cardless / 'card.json').unlink()
  heads = {'backbone': '', 'dim': 64, 'depth': 2, 'num_heads': 4}
  cases = [
      (damaged, section('mae'), 'its sha256 differs'),
      (cardless, section('mae'), 'cannot be read'),
      (folders / 'vit', section('mtl'), 'a vit model cannot start a temporal'),
      (folders / 'tuned', section('frame'), 'extra backbone/pos_embed'),
      (folders / 'mae', section('frame', **heads), 'num_heads=2'),
      (
          folders / 'mae',
          section('mae', decoder_num_heads=2),
          'decoder_num_heads=4',
      ),
      (
          folders / 'vit',
          section('frame', backbone='vit_micro'),
          r'proj/bias is \(64,\), the model wants \(192,\)',
      ),
      (
          folders / 'vit',
          section('frame', patch_size=8),
          r'patch_embed/kernel is \(768, 64\), the model wants \(192, 64\)',
      ),
  ]
  for origin, model, text in cases:
    shapes = {} if model['name'] == 'temporal' else shapes_of(model)
    with pytest.raises(errors.InputError, match=text):
      weights.load(origin, model, shapes)


def test_features_are_extracted_with_a_folder(data_dir, folders, tmp_path):
  data = tmp_path / 'data'
  shutil.copytree(data_dir, data)
  extraction.extract(
      init_from=folders / 'vit',
      data_dir=data,
      dataset='s_aff_wild2',
      name='mae_vit',
      batch_size=16,
  )
  folder = data / 's_aff_wild2_features' / 'mae_vit' / '1.0.0'
  card = json.loads((folder / 'card.json').read_text())
  path = folders / 'vit' / 'weights.safetensors'
  assert card['weights'] == 'vit'
  assert card['sha256'] == weight_files.sha256(path)
  assert card['dim'] == torch_weights.DIM
  records = sources.Records(
      data, 's_aff_wild2_features', 'mae_vit', 'validation'
  )
  features = np.concatenate([record['features'] for record in records])
  assert np.isfinite(features).all()
  assert features.std(axis=0).min() > 0


def test_training_starts_from_a_folder_and_goes_back_to_torch(
    data_dir, folders, tmp_path, capsys
):
  # With a learning rate of 0, the weights do not change.
  config = runs.smoke(
      'frame',
      data_dir,
      init_from=str(folders / 'mae'),
      optim__lr=0.0,
      optim__warmup_epochs=0.0,
      epochs=0.1,
      eval_epochs=0.0,
  )
  loop.train(config, tmp_path / 'frame')
  assert f'starting backbone from {folders / "mae"}' in capsys.readouterr().out
  convert.export_weights(tmp_path / 'frame', tmp_path / 'frame.pth')
  back = torch.load(tmp_path / 'frame.pth', weights_only=True)['model']
  before = torch.load(folders / 'vit.pth', weights_only=True)['model']
  assert set(back) == set(before)
  for name, value in before.items():
    assert torch.equal(back[name], value), name


def test_a_folder_of_weights_is_not_a_run(folders):
  with pytest.raises(errors.InputError, match='holds weights and no run'):
    evaluation.evaluate(folders / 'mae', 'validation')


def test_training_uses_the_preprocessing_of_its_initial_weights(
    folders, tmp_path
):
  config = runs.smoke('frame', '', init_from=str(folders / 'tuned'))
  config, lines = adoption.adopt(config, tmp_path)
  for key, value in preprocessing.PRESETS['hf_vit'].items():
    assert config['augment'][key] == value
  assert [line.split('=')[0].split('.')[-1] for line in lines] == [
      'positions', 'fit', 'filter', 'mean', 'std'
  ]  # fmt: skip
  # It is what runs.
  noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
  picture = Image.fromarray(noise)
  file = io.BytesIO()
  picture.save(file, 'PNG')
  task = registry.make_task(config)
  record = task.empty_record() | {'image': file.getvalue()}
  batch = task.transform()([record], rows=1)
  size = config['model']['image_size']
  expected = picture.resize((size, size), Image.Resampling.BILINEAR)
  np.testing.assert_array_equal(batch['image'][0], np.asarray(expected))
  pixel = np.asarray(expected)[0, 0] / 127.5 - 1.0
  np.testing.assert_allclose(
      task.augmentation.evaluate(jnp.asarray(batch['image']))[0, 0, 0],
      pixel,
      atol=1e-6,
  )


def test_a_resumed_run_keeps_its_preprocessing(folders, tmp_path):
  config = runs.smoke('frame', '', init_from=str(folders / 'tuned'))
  adopted, _ = adoption.adopt(config, tmp_path)
  files.write_json(tmp_path / 'config.json', adopted)
  gone = config | {'init_from': str(folders / 'gone')}
  again, _ = adoption.adopt(gone, tmp_path)
  assert again['augment'] == adopted['augment']


@pytest.mark.parametrize('name', ['frame', 'convnet', 'identity'])
def test_a_convolutional_network_comes_from_its_weights(name, tmp_path):
  files.write_json(tmp_path / 'config.json', {'model': CONVNET})
  config = runs.smoke(name, '', init_from=str(tmp_path))
  if name == 'identity':
    config['model']['num_classes'] = 3
  given = {'model.image_size'}
  adopted, lines = adoption.adopt(config, tmp_path / 'run', given)
  assert adopted['optim']['layer_decay'] == 1.0
  backbone = registry.make_task(adopted).model.backbone
  want = zoo.make_backbone(CONVNET | {'image_size': backbone.image_size})
  assert backbone == want.clone(dtype=backbone.dtype, parent=None)
  assert backbone.image_size == config['model']['image_size']
  assert (
      f'config.model.backbone=rexnet_100, as in the network of {tmp_path}'
      in lines
  )
  # A run that resumes does not need the weights.
  files.write_json(tmp_path / 'run' / 'config.json', adopted)
  gone = config | {'init_from': str(tmp_path / 'gone')}
  assert adoption.adopt(gone, tmp_path / 'run', given)[0] == {
      **adopted,
      'init_from': gone['init_from'],
  }


def test_networks_of_another_kind_are_refused(folders, tmp_path):
  files.write_json(tmp_path / 'config.json', {'model': CONVNET})
  config = runs.smoke('frame', '', init_from=str(tmp_path), model__lora_rank=4)
  with pytest.raises(errors.InputError, match='lora_rank=4: LoRA is for ViTs'):
    adoption.adopt(config, tmp_path / 'run')
  config = runs.smoke('convnet', '', init_from=str(folders / 'vit'))
  with pytest.raises(errors.InputError, match=r'holds a ViT.*--config=frame'):
    adoption.adopt(config, tmp_path / 'run')
