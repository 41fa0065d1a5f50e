"""Frame models and temporal models, compared with PyTorch."""

from collections.abc import Iterator

import jax

from benchmarks import cases, harness
from benchmarks.accelerator import mae, sizes
from benchmarks.accelerator import section as section_lib

_COLUMNS = (
    'model', 'train', 'PyTorch', 'ratio', 'evaluate', 'PyTorch', 'ratio'
)  # fmt: skip


def temporal(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Writes the speed of temporal models, by windows and by whole videos."""
  section.text(
      f'{config.videos} videos at once, {config.features} features, float32. '
      'PyTorch is eager. A window keeps the hidden state of the window before.'
  )

  def rows() -> Iterator[section_lib.Case]:
    frames = config.windows[-1]
    for window in config.windows:
      for name in config.temporal:
        yield (
            f'{name}, windows of {window} of {frames} frames',
            lambda n=name, w=window: _temporal(section, n, w, config),
        )

  section.table(_COLUMNS, rows())


def frame(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Writes the speed of frame models."""
  section.text(
      'bfloat16, uint8 images on the device, all heads and losses. PyTorch is '
      'eager, channels last, with autocast and one linear layer as its head.'
  )
  rows = [
      (f'{name}, {count} images', lambda x=x: _frame(section, *x, config))
      for x in config.frames
      for name, count, _ in [x]
  ]
  section.table(_COLUMNS, rows)


def _temporal(section, name, window: int, config: sizes.Sizes) -> list[str]:
  settings = cases.temporal_config(name, videos=config.videos, window=window)
  windows = cases.windows(
      videos=config.videos,
      frames=config.windows[-1],
      features=config.features,
      window=window,
  )

  def make_theirs():
    from benchmarks.twins import mtl

    return mtl.make_steps(
        settings, windows, device=jax.default_backend(), fused=True
    )

  steps = harness.Steps(settings, windows)
  pair = [steps.update, steps.predict]
  results = mae.against(section, pair, make_theirs, config)
  count = config.videos * window
  return [cell for x in results for cell in mae.cells(*x, count, 'frames')]


def _frame(section, name, count, model, config: sizes.Sizes) -> list[str]:
  count *= jax.device_count()
  settings = cases.frame_config(name, count, dtype='bfloat16', **model)
  size = settings['model']['image_size']
  steps = harness.Steps(settings, [cases.labelled_images(count, size)])

  def make_theirs():
    from benchmarks.twins import backbones

    forward, update = backbones.make_steps(
        steps.task.model.backbone,
        batch_size=count,
        dtype='bfloat16',
        device=jax.default_backend(),
    )
    return update, forward

  pair = [steps.update, steps.predict]
  results = mae.against(section, pair, make_theirs, config)
  return [cell for x in results for cell in mae.cells(*x, count, 'images')]
