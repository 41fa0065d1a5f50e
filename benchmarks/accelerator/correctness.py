"""Parity of the device with the CPU, and a resumed training."""

from collections.abc import Iterator
import functools
import pathlib
import tempfile
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.checkpoints import checkpoints
from abaw_jax.models.layers import variables
from abaw_jax.steps import gradients
from abaw_jax.tasks import registry
from benchmarks import cases, harness
from benchmarks.accelerator import section as section_lib
from benchmarks.accelerator import sizes

# Largest relative error of the loss, the predictions and the gradients: the norm of
# the difference divided by the norm of the reference.
TOLERANCES = {
    'float32': (1e-4, 1e-3, 2e-3),
    'bfloat16': (1e-2, 5e-2, 2e-1),
}
_IMAGES = 8
_UPDATES = 3


def parity(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Compares losses, predictions and gradients with the CPU's float32."""
  section.text(
      'Relative errors against float32 with the highest precision of products on '
      'the CPU. float32 has the highest precision here too; bfloat16 is as in '
      'training. Limits: '
      + '; '.join(
          f'{dtype} ' + ', '.join(f'{x:g}' for x in limits)
          for dtype, limits in TOLERANCES.items()
      )
      + '.'
  )

  def rows() -> Iterator[section_lib.Case]:
    models = _models(config)
    for name in config.models:
      model = _Model(*models[name])
      for dtype in TOLERANCES:
        yield (
            f'{name}, {dtype}',
            functools.partial(_parity, section, model, dtype),
        )

  columns = ('model', 'loss', 'predictions', 'gradients', 'result')
  section.table(columns, rows())


def resume(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Trains, saves, restores, and compares the continued training."""
  settings = cases.mae_config(_IMAGES, **config.mae | config.parity)
  batch = cases.images(_IMAGES, config.mae['image_size'])
  steps = harness.Steps(settings, [batch])
  with tempfile.TemporaryDirectory() as folder:
    store = checkpoints.Checkpoints(
        pathlib.Path(folder), score='loss', best='min'
    )
    _train(steps)
    store.save(steps.state, _Position(), {}, None)
    store.wait()
    saved = jax.device_get(steps.state)
    _train(steps)
    continued = jax.device_get(steps.state)
    steps.state = store.restore(steps.shapes, _Position())
    restored = jax.device_get(steps.state)
    _train(steps)
    store.close()
  resumed = jax.device_get(steps.state)
  pairs = {
      'restored and saved state': (restored, saved, 0.0),
      f'{_UPDATES} more updates': (resumed, continued, 1e-5),
  }

  def check(found, reference, limit):
    error = _error(found, reference)
    same = 'bit for bit' if error == 0 else f'{error:.1e}'
    return [same, section.verdict(passed=error <= limit)]

  section.table(
      ('compared', 'relative difference', 'result'),
      [(name, lambda x=x: check(*x)) for name, x in pairs.items()],
  )


class _Position:
  """The part of an iterator that checkpoints save."""

  def get_state(self) -> dict[str, int]:
    return {'next_batch': _UPDATES}

  def set_state(self, state: Any) -> None:
    del state

  def start_prefetch(self) -> None:
    pass


def _train(steps: harness.Steps) -> None:
  for _ in range(_UPDATES):
    harness.wait(steps.update())


def _models(config: sizes.Sizes) -> dict[str, tuple[Any, Any]]:
  """Returns (config in float32, batch) by the name of the model."""
  vit = config.parity | {'dtype': 'float32'}
  side = vit['image_size']
  backbone, size = config.iresnet
  frames = cases.labelled_images(_IMAGES, side)
  faces = cases.labelled_images(_IMAGES, size)
  lstm = cases.temporal_config(
      'mtl_lstm', videos=config.videos, window=config.windows[0]
  )
  windows = cases.windows(
      videos=config.videos,
      frames=config.windows[0],
      features=config.features,
      window=config.windows[0],
  )
  plain = {'dtype': 'float32'}
  return {
      'MAE': (cases.mae_config(_IMAGES, **config.mae | vit), frames),
      'ViT': (cases.frame_config('vit_b', _IMAGES, **vit), frames),
      'IResNet': (
          cases.frame_config(backbone, _IMAGES, image_size=size, **plain),
          faces,
      ),
      'LSTM': (lstm, windows[0]),
  }


class _Model:
  """A task with random weights, a batch, and the results of the CPU."""

  def __init__(self, settings: Any, batch: Any):
    self._settings = settings
    self._batch = batch

  def results(self, dtype: str) -> list[Any]:
    """Returns [loss, predictions, gradients] of the device, all in `dtype`."""
    device = jax.devices()[0]
    if dtype == 'float32':
      return self._evaluate(self._float32, device)
    model = self._settings['model'] | {'dtype': dtype}
    task = registry.make_task(self._settings | {'model': model})
    return self._evaluate(_jit(task), device)

  @functools.cached_property
  def reference(self) -> list[Any]:
    """[loss, predictions, gradients] of the CPU in float32."""
    return self._evaluate(self._float32, jax.devices('cpu')[0])

  @functools.cached_property
  def _float32(self):
    return _jit(self._task)

  @functools.cached_property
  def _task(self):
    return registry.make_task(self._settings)

  @functools.cached_property
  def _params(self) -> Any:
    """Random weights without zeros."""
    rng = np.random.default_rng(0)

    def draw(path, leaf):
      inputs = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 1
      noise = min(0.1, 0.5 / inputs**0.5) * rng.standard_normal(leaf.shape)
      if path[-1].key in ('scale', 'std', 'var'):
        noise = 1.0 + np.abs(noise)
      return noise.astype(np.float32)

    shapes = jax.eval_shape(self._task.init, jax.random.key(0), self._batch)
    return jax.tree_util.tree_map_with_path(draw, shapes)

  def _evaluate(self, evaluate: Any, device: Any) -> list[Any]:
    inputs = jax.device_put((self._params, self._batch), device)
    with jax.default_matmul_precision('highest'):
      return jax.device_get(evaluate(*inputs))


def _jit(task: Any) -> Any:
  """Returns the function from (weights, batch) to the results of a task."""

  @jax.jit
  def evaluate(params, batch):
    rows = batch['real'].shape[0]
    batch = batch | {'epoch': jnp.zeros(rows, jnp.int32)}
    if carry := task.carry():
      batch |= {'carry': carry}
    trained, statistics = variables.split(params)
    grads, metrics, _, _ = gradients.gradients(
        trained,
        statistics,
        batch,
        jax.random.key(0),
        task=task,
        microbatches=1,
        freeze='',
        sam_rho=0.0,
        sam_faithful=False,
        float32_gradients=False,
    )
    return [metrics['loss'], task.predict(params, batch), grads]

  return evaluate


def _parity(section, model: _Model, dtype: str) -> list[str]:
  """Returns the errors and the result."""
  pairs = zip(model.results(dtype), model.reference, strict=True)
  errors = [_error(*pair) for pair in pairs]
  within = np.less_equal(errors, TOLERANCES[dtype]).all()
  result = section.verdict(passed=bool(within))
  return [*(f'{x:.1e}' for x in errors), result]


def _error(found: Any, reference: Any) -> float:
  """Returns the relative error over all numbers of a tree that are no integers."""
  pairs = [
      (np.asarray(a, np.float64), np.asarray(b, np.float64))
      for a, b in zip(
          jax.tree.leaves(found), jax.tree.leaves(reference), strict=True
      )
      if jnp.issubdtype(b.dtype, jnp.floating)
  ]
  difference = sum(np.sum((a - b) ** 2) for a, b in pairs)
  return float(np.sqrt(difference / sum(np.sum(b**2) for _, b in pairs)))
