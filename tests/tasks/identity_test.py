"""Identity training: one device and eight, and from disk to a frame model."""

import functools
import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from abaw_jax.checkpoints import runs as workdirs
from abaw_jax.checkpoints import weights
from abaw_jax.core import errors
from abaw_jax.data import transforms
from abaw_jax.data_builders import build
from abaw_jax.distributed import sharding
from abaw_jax.inference import embedder, evaluation
from abaw_jax.models import zoo
from abaw_jax.models.layers import variables
from abaw_jax.tasks import registry
from abaw_jax.training import loop
from tests.tasks import people
from tests.training import runs

EIGHT = {'JAX_NUM_CPU_DEVICES': '8'}
PEOPLE, EACH = 16, 5


@pytest.fixture(scope='module')
def on_eight():
  """Returns the comparison of one and eight devices, see `people.main`."""
  status, out, error = runs.finish(runs.start('tests.tasks.people', **EIGHT))
  assert status == 0, error
  return json.loads(out)


def test_eight_devices_train_like_one(on_eight):
  # Compared: loss, accuracy, norm of the gradients, every weight after an
  # update, and predictions before it.
  assert on_eight['wrong'] == {}
  assert {'loss', 'grad_norm', 'classes/kernel', 'pred_identity'} <= set(
      on_eight['names']
  )
  assert on_eight['loss'] > 10


def test_classes_and_their_moments_are_split_over_all_devices(on_eight):
  assert len(on_eight['shares']) == 3
  assert set(on_eight['shares'].values()) == {1 / 8}


def test_no_device_holds_all_logits_or_all_classes(on_eight):
  assert on_eight['in_one'] == ['logits', 'classes']
  assert on_eight['in_eight'] == ['logits_part', 'classes_part']
  # Gradients of classes are not sent either.
  assert on_eight['sent'] == []
  alone, split = on_eight['memory']
  # The backbone is not split.
  assert split < alone / 2.5


def test_augmentation_does_not_depend_on_the_devices(on_eight):
  assert on_eight['moved_pixels'] == 0
  assert not on_eight['gathers_images']


@pytest.fixture(scope='module')
def people_dir(tmp_path_factory):
  """Returns a folder with datasets that hold out people or images."""
  root = tmp_path_factory.mktemp('people')
  rng = np.random.default_rng(0)
  for person in range(PEOPLE):
    folder = root / 'source' / f'{person:03d}'
    folder.mkdir(parents=True)
    colour = rng.integers(40, 215, 3)
    for i in range(EACH):
      face = np.clip(colour + rng.normal(0, 15, (40, 40, 3)), 0, 255)
      cv2.imwrite(str(folder / f'{i}.png'), face.astype(np.uint8))
  for hold_out in ('people', 'images'):
    build.build(
        'identities',
        source_dir=root / 'source',
        data_dir=root / hold_out,
        configs=('folders',),
        validation_share=0.3,
        hold_out=hold_out,
        num_workers=1,
    )
  return root


def smoke(people_dir, hold_out='people', **overrides):
  return runs.smoke(
      'identity',
      people_dir / hold_out,
      data__name='identities/folders',
      **overrides,
  )


def as_frame_model(model):
  """Returns the `model` section of a frame model on the same backbone."""
  section = {k: v for k, v in model.items() if k not in ('num_classes', 'head')}
  return section | {'name': 'frame', 'dropout': 0.0}


@pytest.fixture(scope='module')
def trained(people_dir):
  """Returns (workdir of a run, its config)."""
  config = smoke(people_dir, epochs=2.0, eval_epochs=1.0)
  # This model compiles faster than a convolutional network.
  config['model'] = people.make_config()['model'] | {'num_classes': 0}
  config = registry.task_class(config).complete(config)
  loop.train(config, people_dir / 'run')
  return people_dir / 'run', config


def test_classes_are_the_people_of_the_training_split(trained):
  workdir, config = trained
  train = registry.make_task(config).source('train')
  found = {int(record['identity']) for record in train}
  assert found == set(range(config['model']['num_classes']))
  assert len(found) < PEOPLE
  stored = workdirs.read_config(workdir)
  assert stored['model']['num_classes'] == len(found)


def test_unseen_people_are_verified(trained):
  workdir, config = trained
  scores = evaluation.evaluate(workdir, 'validation')
  assert 0 <= scores['score'] == scores['AUC'] <= 1
  line = registry.make_task(config).summary(scores)
  assert line.startswith(f'score {scores["AUC"]:.4f} (AUC ')
  assert 'n_same' not in line
  assert registry.make_task(config).table(scores) == []
  kept = runs.metrics(workdir, 'validation')
  assert scores['score'] == pytest.approx(
      max(row['score'] for row in kept.values())
  )
  with np.load(workdir / 'predictions' / 'validation.npz') as rows:
    assert not rows['pred_known'].any()
    assert rows['pred_identity'].max() < config['model']['num_classes']
    np.testing.assert_allclose(
        np.linalg.norm(rows['pred_direction'], axis=-1), 1, rtol=1e-5
    )
    # Each person is one folder of files.
    names = [name.split('/')[0] for name in rows['name']]
    assert len(set(zip(names, rows['identity'].tolist(), strict=True))) == len(
        set(names)
    )


def test_known_people_are_identified(people_dir):
  rows = {
      'pred_known': np.ones(3, bool),
      'pred_identity': np.array([0, 1, 1]),
      'pred_direction': np.eye(3, dtype=np.float32),
      'identity': np.array([0, 1, 2]),
  }
  task = registry.make_task(smoke(people_dir))
  scores = task.scores(rows)
  assert scores == {'accuracy': 2 / 3, 'n_images': 3, 'score': 2 / 3}
  with pytest.raises(errors.InputError, match='0 pairs of images of the same'):
    task.scores(rows | {'pred_known': np.zeros(3, bool)})


def test_a_frame_model_loads_only_the_backbone(trained):
  workdir, config = trained
  mesh = sharding.make_mesh(fsdp=1)
  own = shapes_of(zoo.make_model(**config['model']), mesh)
  stored, _ = weights.load(workdir, config['model'], own)
  model = as_frame_model(config['model'])
  shapes = shapes_of(zoo.make_model(**model), mesh)
  params, card = weights.load(workdir, model, shapes)
  assert set(params) == {'backbone'}
  assert card['run'] == 'run'
  jax.tree.map(
      np.testing.assert_array_equal, params['backbone'], stored['backbone']
  )


def test_features_are_the_embedding(trained):
  workdir, _ = trained
  mesh = sharding.make_mesh(fsdp=1)
  assert embedder.load(workdir, mesh).dim == people.DIM
  with pytest.raises(errors.InputError, match='extract its embedding'):
    embedder.load(workdir, mesh, output='logits')


def test_a_backbone_is_loaded_with_its_batch_statistics(people_dir, tmp_path):
  model = smoke(people_dir)['model'] | {'num_classes': 7}
  mesh = sharding.make_mesh(fsdp=1)
  rng = np.random.default_rng(0)
  own = {
      sharding.path_name(path): rng.normal(size=leaf.shape).astype(np.float32)
      for path, leaf in jax.tree_util.tree_leaves_with_path(
          shapes_of(zoo.make_model(**model), mesh)
      )
  }
  weights.write_folder(tmp_path / 'w', own, {'model': model}, {})
  frame = as_frame_model(model)
  shapes = shapes_of(zoo.make_model(**frame), mesh)
  params, _ = weights.load(tmp_path / 'w', frame, shapes)
  assert set(params) == {'backbone', 'batch_stats'}
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    np.testing.assert_array_equal(leaf, own[sharding.path_name(path)])


def shapes_of(model, mesh):
  """Returns the shapes of the weights of a model, replicated on all devices."""
  images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  init = functools.partial(variables.init, model)
  shapes = jax.eval_shape(init, jax.random.key(0), images)
  everywhere = jax.tree.map(lambda _: sharding.replicated(mesh), shapes)
  return sharding.with_shardings(shapes, everywhere)


def test_batches_have_the_person_of_each_image(people_dir):
  config = smoke(people_dir, 'images')
  source = registry.make_task(config).source('validation')
  records = [source[i] for i in range(3)]
  batch = registry.make_task(config).transform()(records, rows=4)
  np.testing.assert_array_equal(
      batch['identity'], [*(r['identity'] for r in records), 0]
  )
  np.testing.assert_array_equal(batch['real'], [True] * 3 + [False])
  expected = transforms.image_batch(records, rows=4, image_size=32)
  np.testing.assert_array_equal(batch['image'], expected['image'])
  config = registry.task_class(config).complete(config)
  assert config['model']['num_classes'] == PEOPLE


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'model__num_classes': 3}, 'num_classes=3: .* trains on 16 people'),
        ({'data__name': 'identities/folders,b/c'}, 'several datasets overlap'),
        ({'data__name': 'identities'}, 'found identities/folders'),
    ],
)
def test_data_without_valid_classes_are_refused(people_dir, overrides, message):
  config = smoke(people_dir, 'images') | {}
  for key, value in overrides.items():
    section, name = key.split('__')
    config[section][name] = value
  with pytest.raises(errors.InputError, match=message):
    config = registry.task_class(config).complete(config)


def test_settings_that_contradict_are_refused(people_dir):
  with pytest.raises(errors.InputError, match="head=linear; set it to 'cosine"):
    registry.make_task(smoke(people_dir, model__head='linear'))
  with pytest.raises(errors.InputError, match=r'loss\.name: unknown value'):
    registry.make_task(smoke(people_dir, loss__name='sphere'))
  task = registry.make_task(smoke(people_dir))
  batch = {'image': jnp.zeros((1, 32, 32, 3), jnp.uint8)}
  with pytest.raises(errors.InputError, match='num_classes=0: training takes'):
    task.init(jax.random.key(0), batch)
