"""The adversarial identity head of the frame model."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from abaw_jax.checkpoints import parameters, weights
from abaw_jax.core import errors
from abaw_jax.data import image_sources, sources
from abaw_jax.distributed import sharding
from abaw_jax.inference import evaluation
from abaw_jax.models.layers import variables
from abaw_jax.steps import steps
from abaw_jax.tasks import inputs, registry
from abaw_jax.tasks import task as task_lib
from abaw_jax.training import loop
from tests.models import tiny_networks
from tests.training import runs

FACTOR = 0.5
HEAD = task_lib.IDENTITY_HEAD


@pytest.fixture(scope='module')
def config(data_dir) -> dict:
  config = runs.smoke(
      'frame',
      data_dir,
      loss__identity_adversarial=FACTOR,
      model__drop_path=0.0,
      data__in_memory=True,
      log_steps=1,
      epochs=0.1,
      optim__warmup_epochs=0.0,
  )
  config['model'] |= tiny_networks.VIT
  return config


def plain(config) -> dict:
  """Returns the config without the head."""
  return config | {'loss': config['loss'] | {'identity_adversarial': 0.0}}


def test_identities_are_the_videos_that_are_drawn(config, data_dir):
  data = config['data'] | {'class_balance': 'expression', 'video_share': 0.6}
  source = registry.make_task(config | {'data': data}).source('train')
  records = sources.Records(data_dir, 's_aff_wild2', 'frames', 'train')
  videos = {record['image']: record['video'] for record in records}
  drawn = sorted({videos[record['image']] for record in source})
  assert 1 < len(drawn) < len(set(videos.values()))
  assert source.num_identities == len(drawn)
  examples = source.for_training(0)
  without = registry.make_task(plain(config | {'data': data})).source('train')
  order = without.for_training(0)
  for i in range(len(source)):  # also in the order of the balanced source
    for record in (source[i], examples[i]):
      assert drawn[record['identity']] == videos[record['image']]
    assert examples[i]['image'] == order[i]['image']
  other = registry.make_task(config).source('validation')
  assert 'identity' not in other[0]


def test_the_head_learns_people_and_the_backbone_unlearns_them(config):
  task = registry.make_task(config)
  task = task.fitted(task.source('train'))
  source = task.source('train')
  records = [source[i] for i in range(6)]
  batch = jax.tree.map(jnp.asarray, task.transform(train=True)(records, rows=8))
  assert batch['identity'].tolist() == [
      *(record['identity'] for record in records), 0, 0,
  ]  # fmt: skip
  other = registry.make_task(plain(config))
  key = jax.random.key(0)

  def entropy(params, head):
    images = task.augmentation.train(
        jax.random.split(key, 4)[0], batch['image']
    )
    output, _ = variables.apply(
        task.model, params, images, train=True, rngs={'dropout': key}
    )
    logits = output['embedding'][:6] @ head['kernel'] + head['bias'][None]
    return optax.softmax_cross_entropy_with_integer_labels(
        logits, batch['identity'][:6]
    ).mean()

  def by_hand(params):
    stop = jax.lax.stop_gradient
    learned = entropy(stop(params), params[HEAD])
    unlearned = entropy(params, stop(params[HEAD]))
    value, _ = other.loss(params, batch, key)
    return value + learned - FACTOR * unlearned, learned

  params = jax.jit(task.init)(key, batch)
  (found, scalars), (expected, identity) = jax.jit(
      lambda params: (
          jax.grad(lambda p: task.loss(p, batch, key), has_aux=True)(params),
          jax.grad(by_hand, has_aux=True)(params),
      )
  )(params)
  np.testing.assert_allclose(scalars['identity'], identity, rtol=1e-5)
  assert np.any(expected[HEAD]['kernel'])
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
      found,
      expected,
  )


def test_only_a_run_that_resumes_has_the_head(config, tmp_path):
  loop.train(config, tmp_path / 'run')
  assert all(x['identity'] > 0 for x in runs.metrics(tmp_path / 'run').values())
  assert evaluation.evaluate(tmp_path / 'run', 'validation')['score'] > 0
  task = registry.make_task(config)
  mesh = sharding.make_mesh(fsdp=1)
  source = task.source('train')
  shapes = steps.param_shapes(task, inputs.example(task, source), mesh)
  assert HEAD not in shapes
  found, _ = parameters.load(tmp_path / 'run', shapes)
  assert found.keys() == shapes.keys()
  # A new run with a head takes all other weights, and draws a new head.
  task = task.fitted(source)
  shapes = steps.param_shapes(task, inputs.example(task, source), mesh)
  width = tiny_networks.VIT['dim']
  assert shapes[HEAD]['kernel'].shape == (width, source.num_identities)
  started, _ = weights.load(tmp_path / 'run', config['model'], shapes)
  assert started.keys() == found.keys()


class Named(sources.Records):
  """Records with names only."""

  name = 'toy/frames'
  all_fields = ('person', 'video')

  def __init__(self, people, videos):
    self._rows = [
        {'person': person, 'video': video}
        for person, video in zip(people, videos, strict=True)
    ]

  def with_fields(self, *fields):
    return [{k: row[k] for k in fields} for row in self._rows]

  def __getitem__(self, index):
    return self._rows[index]

  def __len__(self):
    return len(self._rows)


def test_people_come_before_videos_and_must_have_several_images():
  records = Named([b'b', b'', b'a', b'b', b'a'], [b'v'] * 5)
  source = image_sources.Identified(records, records)
  numbers = [source[i]['identity'] for i in range(5)]
  assert numbers == [1, -1, 0, 1, 0]
  assert source.num_identities == 2
  videos = Named([b''] * 3, [b'w', b'v', b'w'])
  assert image_sources.Identified(videos, videos).num_identities == 2
  for names in ([b'a', b'b', b'c'], [b'a', b'a']):
    records = Named(names, [b''] * len(names))
    with pytest.raises(errors.InputError, match='at least two with several'):
      image_sources.Identified(records, records)


@pytest.mark.parametrize(
    ('section', 'key', 'value', 'message'),
    [
        ('optim', 'freeze', 'backbone', 'no part receives'),
        ('data', 'name', 's_aff_wild2,emotionet', 'name one dataset'),
    ],
)
def test_wrong_combinations_give_one_line(config, section, key, value, message):
  wrong = config | {section: config[section] | {key: value}}
  with pytest.raises(errors.InputError, match=message):
    registry.make_task(wrong).source('train')
