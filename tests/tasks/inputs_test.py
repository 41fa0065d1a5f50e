"""Inputs of a config: datasets, weights, image sizes, and refused values."""

import cv2
import jax
import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import mixture, sources
from abaw_jax.data_builders import build
from abaw_jax.inference import evaluation
from abaw_jax.sequences import stateful_videos, video_groups
from abaw_jax.tasks import inputs, registry
from abaw_jax.training import loop
from abaw_jax.workflow import procedural
from tests.data import corpora
from tests.training import runs


@pytest.fixture(scope='module')
def mixed_dir(data_dir, tmp_path_factory):
  """Returns a folder with the tiny corpus and 14 faces in CelebA's layout."""
  root = tmp_path_factory.mktemp('mixed')
  (root / 's_aff_wild2').symlink_to(data_dir / 's_aff_wild2')
  folder = root / 'source' / 'img_align_celeba'
  folder.mkdir(parents=True)
  partition = []
  for i in range(14):
    # Taller than wide, like CelebA's images.
    image = np.full((109, 89, 3), 15 * i, np.uint8)
    cv2.imwrite(str(folder / f'{i:06d}.jpg'), image)
    partition.append(f'{i:06d}.jpg {0 if i < 10 else 1}')
  (root / 'source' / 'list_eval_partition.txt').write_text(
      '\n'.join(partition) + '\n'
  )
  build.build(
      'face_images',
      source_dir=root / 'source',
      data_dir=root,
      configs=('celeba',),
  )
  return root


def mixed_config(mixed_dir, weights='', **overrides):
  return runs.smoke(
      'mae',
      mixed_dir,
      data__name='s_aff_wild2, face_images/celeba',
      data__weights=weights,
      **overrides,
  )


@pytest.mark.parametrize('split', ['train', 'validation'])
def test_several_datasets_are_one_source(mixed_dir, split):
  source = registry.make_task(mixed_config(mixed_dir, '3,1')).source(split)
  frames = sources.Records(mixed_dir, 's_aff_wild2', 'frames', split)
  assert isinstance(source, mixture.Mixture)
  assert source.sizes == (len(frames), 10 if split == 'train' else 4)
  assert source.weights == (3, 1)
  assert source[0] == {'image': frames[0]['image']}
  assert source[len(source) - 1].keys() == {'image'}


def test_one_dataset_is_not_a_mixture(mixed_dir):
  for name in ('s_aff_wild2', 's_aff_wild2/frames'):
    config = runs.smoke('mae', mixed_dir, data__name=name, data__weights='2')
    source = registry.make_task(config).source('train')
    assert isinstance(source, sources.Records)
    assert source[0].keys() == {'image'}


def test_labelled_datasets_are_mixed_with_their_masks(data_dir, tmp_path):
  for name in ('s_aff_wild2', 'other'):
    (tmp_path / name).symlink_to(data_dir / 's_aff_wild2')
  config = runs.smoke('frame', tmp_path, data__name='s_aff_wild2,other')
  source = registry.make_task(config).source('train')
  frames = sources.Records(data_dir, 's_aff_wild2', 'frames', 'train')
  assert source.sizes == (len(frames), len(frames))
  to_batch = registry.make_task(config).transform()
  batch = to_batch([source[3], source[len(frames) + 5]], rows=2)
  expected = to_batch([frames[3], frames[5]], rows=2)
  for field, value in expected.items():
    np.testing.assert_array_equal(batch[field], value)


@pytest.mark.parametrize(
    ('weights', 'message'),
    [
        (
            '3',
            '1 weights for 2 datasets in config.data.name; give one weight for',
        ),
        ('3,1,1', '3 weights for 2 datasets'),
        ('3,much', 'much.*give numbers such as 3,1'),
        ('3,', 'give numbers such as 3,1'),
        ('nan,1', 'give numbers such as 3,1'),
        ('1/0,1', 'give numbers such as 3,1'),
        ('3,0', 'weights must be above 0; remove the dataset'),
        ('3,-1', 'weights must be above 0'),
    ],
)
def test_wrong_weights_are_refused(mixed_dir, weights, message):
  config = mixed_config(mixed_dir, weights)
  with pytest.raises(errors.InputError, match=message) as error:
    registry.make_task(config).source('train')
  assert str(error.value).startswith(f'config.data.weights={weights}: ')
  assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (
            's_aff_wild2,faces',
            'no dataset faces/frames; found face_images/celeba',
        ),
        (
            'face_images/wide',
            'no dataset face_images/wide; found face_images/celeba',
        ),
        (
            's_aff_wild2,',
            "config.data.name=s_aff_wild2,: '' is not the name of a dataset; give",
        ),
        (
            'a/b/c',
            "'a/b/c' is not the name of a dataset; give `name` or `name/config`",
        ),
        ('a/', "'a/' is not the name"),
        (
            's_aff_wild2, s_aff_wild2/frames',
            'names s_aff_wild2/frames twice; name it once',
        ),
    ],
)
def test_wrong_names_are_refused(mixed_dir, name, message):
  config = runs.smoke('mae', mixed_dir, data__name=name)
  with pytest.raises(errors.InputError, match=message):
    registry.make_task(config).source('train')


def test_the_procedural_corpus_cannot_be_mixed():
  config = runs.smoke('mae', 'data', data__name='procedural,face_images/tree')
  with pytest.raises(errors.InputError, match='cannot be mixed by these names'):
    procedural.resolve(config, 'frames')


def test_a_negative_size_is_refused(mixed_dir):
  config = mixed_config(mixed_dir, data__face_size=-1)
  with pytest.raises(
      errors.InputError, match=r'config.data.face_size=-1: give'
  ):
    registry.make_task(config)


def test_the_device_resizes_images(mixed_dir, tmp_path):
  config = mixed_config(
      mixed_dir,
      '1,2',
      data__face_size=80,
      optim__warmup_epochs=0.0,
      epochs=0.3,
      model__decoder_depth=1,
  )
  source = registry.make_task(config).source('train')
  batches = inputs.train_batches(registry.make_task(config), source)
  assert next(batches)['image'].shape == (8, 80, 80, 3)
  batches.close()
  assert inputs.example(registry.make_task(config), source)['image'].shape == (
      1,
      80,
      80,
      3,
  )
  # The model of 64 pixels is trained and scored on these images.
  loop.train(config, tmp_path / 'mae')
  scores = evaluation.evaluate(tmp_path / 'mae', 'validation')
  assert np.isfinite(scores['loss'])
  with np.load(tmp_path / 'mae' / 'predictions' / 'validation.npz') as rows:
    validation = registry.make_task(config).source('validation')
    assert len(rows['pred_loss']) == len(validation)
    assert [*rows['name'][-4:]] == [*validation.names({})['name'][-4:]]
    assert rows['dataset'][-1] == 'face_images/celeba/1.0.0'


def test_an_empty_example_has_the_shapes_of_a_batch(mixed_dir):
  for name in ('mae', 'frame'):
    config = runs.smoke(name, mixed_dir)
    source = registry.make_task(config).source('train')
    batches = inputs.train_batches(registry.make_task(config), source)
    batch = next(batches)
    batches.close()
    example = inputs.example(registry.make_task(config), source)
    assert jax.tree.map(lambda x: (x.shape[1:], x.dtype), example) == (
        jax.tree.map(lambda x: (x.shape[1:], x.dtype), batch)
    )


def test_the_ends_of_all_epochs_need_each_epoch_once(tmp_path, monkeypatch):
  sizes = {f'video{i}': 3 + 7 * i for i in range(7)}
  corpora.write_features(tmp_path, corpora.rows(sizes))
  videos = corpora.open_videos(tmp_path)
  source = stateful_videos.StatefulVideos(
      videos,
      video_groups.Groups(
          videos.sizes, rows=3, length=4, buckets=False, seed=None
      ),
  )
  config = {'seed': 4, 'epochs': 39.5, 'data': {'batch_size': 3}}
  # Each of these calls starts with the first epoch.
  expected = [inputs.num_updates(config, source, i + 1) for i in range(40)]
  plan_epoch = video_groups.Groups._plan_epoch
  planned = []

  def counted(groups, epoch):
    planned.append(epoch)
    return plan_epoch(groups, epoch)

  monkeypatch.setattr(video_groups.Groups, '_plan_epoch', counted)
  assert list(inputs.epoch_ends(config, source)) == expected
  assert planned == list(range(41))
