"""Train steps of the MAE, alone and compared with PyTorch."""

from collections.abc import Sequence
import statistics
from typing import Any

import jax

from abaw_jax.steps import compilation
from benchmarks import cases, harness
from benchmarks.accelerator import device, sizes
from benchmarks.accelerator import section as section_lib

_SPEED = ('ours', 'TFLOP/s', 'MFU')


def alone(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Writes speed and memory of the train step."""
  section.text(
      'Train step of the MAE in bfloat16 with AdamW, uint8 images on the device. '
      '`predicted` is the memory of the compiled step, `used` is the peak of the '
      'process so far.'
  )
  columns = ('model', *_SPEED, 'predicted', 'used', 'compilation')
  rows = [
      (label(case), lambda case=case: _alone(case, config))
      for case in config.mae_cases
  ]
  section.table(columns, rows)


def compared(section: section_lib.Section, config: sizes.Sizes) -> None:
  """Writes our speed and that of Hugging Face's ViTMAE, in alternating rounds."""
  section.text(
      "PyTorch: Hugging Face's ViTMAE with bf16 autocast, the fused AdamW and, on a "
      'GPU, torch.compile.'
  )
  columns = ('model', *_SPEED, 'PyTorch', 'ours / PyTorch')
  rows = [
      (label(case), lambda case=case: _compared(section, case, config))
      for case in config.compared
  ]
  section.table(columns, rows)


def label(case: sizes.MaeCase) -> str:
  """Returns the name of a case."""
  form = 'scan' if case.scan else 'unrolled'
  form += ', cuDNN attention' if case.cudnn else ''
  return f'{case.backbone}, {case.images} images, remat {case.remat}, {form}'


def make_steps(
    case: sizes.MaeCase, config: sizes.Sizes, **options: Any
) -> tuple[harness.Steps, int, Any]:
  """Returns (steps of a case, images per update, FLOPs of an update)."""
  images = case.images * jax.device_count()
  model = {
      'backbone': case.backbone,
      'remat': case.remat,
      'scan': case.scan,
      'cudnn_attention': case.cudnn,
  }
  settings = cases.mae_config(images, **config.mae | model)
  batch = cases.images(images, config.mae['image_size'])
  steps = harness.Steps(settings, [batch], **options)
  return steps, images, images * steps.task.flops(batch)


def against(
    section: section_lib.Section,
    steps: Sequence[harness.Step],
    make_theirs,
    config: sizes.Sizes,
) -> list[tuple[harness.Comparison | tuple[float, ...], str]]:
  """Times steps against PyTorch's, or alone if PyTorch fails.

  Args:
    section: counts the failure.
    steps: our steps.
    make_theirs: returns PyTorch's steps in the same order.
    config: rounds and repeats.

  Returns:
    (result of the comparison, or our seconds; error of PyTorch) for each step.
  """
  options = {'rounds': config.rounds, 'repeats': config.repeats}

  def start():
    if jax.default_backend() not in ('cpu', 'gpu'):
      raise ModuleNotFoundError('no PyTorch on this device', name='torch')
    theirs = make_theirs()
    for step in theirs:  # compiles
      harness.wait(step())
    return theirs

  theirs = section.attempt(start)
  if isinstance(theirs, str):
    return [(harness.measure([x], **options)[0], theirs) for x in steps]
  return [
      (harness.compare(*pair, **options), '')
      for pair in zip(steps, theirs, strict=True)
  ]


def cells(result: Any, error: str, count: int, unit: str) -> list[str]:
  """Returns our rate, PyTorch's, and the ratio, for a result of `against`."""
  if error:
    return [harness.rate(result, count, unit), error, '']
  return [*result.rates(count, unit), result.ratio()]


def _speed(seconds: Sequence[float], images: int, flops: float) -> list[str]:
  rate = flops / statistics.median(seconds)
  peak = device.peak_flops()
  return [
      harness.rate(seconds, images, 'images'),
      f'{rate / 1e12:.3g}',
      f'{rate / peak:.1%}' if peak else 'unknown',
  ]


def _alone(case: sizes.MaeCase, config: sizes.Sizes) -> list[str]:
  before = device.memory('peak_bytes_in_use')
  steps, images, flops = make_steps(case, config)
  predicted = compilation.memory(steps.compiled).total
  compiled = f'{steps.compile_seconds:.0f} s'
  limit = device.memory('bytes_limit')
  if limit and predicted > limit:
    fits = f'does not fit into {device.size(limit)}'
    return [fits, '', '', device.size(predicted), '', compiled]
  (seconds,) = harness.measure(
      [steps.update], rounds=config.rounds, repeats=config.repeats
  )
  used = device.memory('peak_bytes_in_use')
  # The peak is that of the process, so a smaller case does not change it.
  most = 'at most ' if used == before else ''
  return [
      *_speed(seconds, images, flops),
      device.size(predicted),
      f'{most}{device.size(used)}' if used else 'unknown',
      compiled,
  ]


def _compared(
    section: section_lib.Section, case: sizes.MaeCase, config: sizes.Sizes
) -> list[str]:
  steps, images, flops = make_steps(case, config)

  def make_theirs():
    from benchmarks.twins import mae

    step = mae.make_step(
        steps.task.model,
        batch_size=images,
        dtype=config.mae['dtype'],
        device=jax.default_backend(),
    )
    return [step]

  [(result, error)] = against(section, [steps.update], make_theirs, config)
  _, theirs, ratio = cells(result, error, images, 'images')
  ours = result if error else result.ours
  return [*_speed(ours, images, flops), theirs, ratio]
