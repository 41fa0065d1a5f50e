"""Imports weight files of other projects, and exports our weights to them."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from abaw_jax.checkpoints import generators, runs, weights
from abaw_jax.conversion import (
    checks,
    config_inference,
    converted,
    identification,
    position_tables,
)
from abaw_jax.core import errors, files
from abaw_jax.distributed import sharding
from abaw_jax.models import super_resolution_zoo, zoo
from abaw_jax.porting import registry, weight_files
from abaw_jax.porting.layouts import state_dicts
from abaw_jax.tasks import registry as tasks


def import_weights(
    checkpoint: files.Path,
    out: files.Path,
    *,
    arch: str | None = None,
    image_size: int | None = None,
    num_heads: int | None = None,
    decoder_num_heads: int | None = None,
    norm_pix: bool | None = None,
    preprocessing: str | None = None,
    state_dict: str | None = None,
    activation: str | None = None,
) -> list[str]:
  """Writes a folder of weights from another project's file; returns a report.

  Args:
    checkpoint: file of PyTorch, or `.safetensors` file.
    out: folder to write.
    arch: expected backbone, such as `vit_b` or `tf_efficientnet_b0`; None accepts
      any that is certain.
    image_size: side of the model's images in pixels; None keeps the size of
      the file, or the usual size.
    num_heads: attention heads; None uses the usual number for the width.
    decoder_num_heads: attention heads of a MAE's decoder; None as `num_heads`.
    norm_pix: whether the MAE was trained on normalised patches; None uses the
      training arguments in the file, or True without them.
    preprocessing: a key of `preprocessing.PRESETS`; None uses that of the file
      or the project, if it is certain.
    state_dict: key of the network in a file that has several, such as
      `model_ema`.
    activation: of a ViT, a key of `dense.ACTIVATIONS`; None uses that of the
      file or the project, if it is certain.

  Raises:
    InputError: if the file is broken, asks for code to be executed, has no
      known architecture or several, does not fit its architecture or `arch`,
      has NaN or Inf, does not say its preprocessing, or if `out` has other
      content.
  """
  tensors, facts = weight_files.read_tensors(checkpoint, key=state_dict)
  facts |= identification.read_neighbours(checkpoint)
  checks.check_finite(tensors, checkpoint)
  stored = tensors
  tensors = registry.without_prefixes(tensors)
  layout = registry.LAYOUTS[registry.detect_layout(tensors, checkpoint)]
  tensors = {k: x for k, x in tensors.items() if layout.uses(k)}
  left_out = converted.left_out(stored, tensors)
  tensors = layout.canonicalize(tensors, checkpoint)
  inferred = layout.infer_model(
      {k: x.shape for k, x in tensors.items()}, checkpoint
  )
  if 'network' in inferred:
    model = config_inference.complete_super_resolution(
        inferred,
        checkpoint,
        arch=arch,
        image_size=image_size,
        num_heads=num_heads,
        decoder_num_heads=decoder_num_heads,
        norm_pix=norm_pix,
        preprocessing=preprocessing,
        activation=activation,
    )
    shapes = _shapes(model)
    rules = _rules(shapes, model, layout)
    params = state_dicts.to_ours(tensors, shapes, rules, checkpoint)
    report = converted.report(tensors)
    if 'state_dict' in facts:
      report['state_dict'] = facts['state_dict']
    return converted.write(
        out, params, {'model': model}, layout, checkpoint, report=report
    )
  inferred = identification.complete_variant(inferred, facts, arch, checkpoint)
  if norm_pix is None and 'decoder_dim' in inferred:
    norm_pix = bool(facts.get('norm_pix_loss', True))
  if 'patch_size' in inferred:
    num_heads = num_heads or facts.get('num_heads')
    inferred = identification.complete_vit_options(
        inferred, facts, activation, checkpoint
    )
    inferred = config_inference.complete_window(inferred, facts, checkpoint)
  model = config_inference.complete_model(
      inferred,
      checkpoint,
      num_heads=num_heads,
      decoder_num_heads=decoder_num_heads,
      norm_pix=norm_pix,
      activation=activation,
  )
  checks.check_arch(model, arch, checkpoint)
  tables = position_tables.sincos_tables(model)
  shapes = _shapes(model) | {k: table.shape for k, table in tables.items()}
  rules = _rules(shapes, model, layout)
  if zoo.is_video(model):  # most files do not have the fixed positions
    tensors = {rules[k].name: table for k, table in tables.items()} | tensors
  params = state_dicts.to_ours(tensors, shapes, rules, checkpoint)
  note = 'none'
  dtypes = {path: tensors[rules[path].name].dtype for path in tables}
  if tables and not position_tables.are_sincos(params, model, dtypes):
    model['positions'] = 'learned'
  pixels, origin = identification.choose_preprocessing(
      layout, model, facts, preprocessing, checkpoint
  )
  usual_size = layout.usual_sizes.get(model['image_size'], model['image_size'])
  if tables:
    params, model, note = position_tables.reconcile(
        params,
        model,
        dtypes=dtypes,
        image_size=image_size or usual_size,
        resampling=layout.resampling,
        checkpoint=checkpoint,
    )
  elif image_size:
    if not zoo.is_convnet(model):
      position_tables.check_patches(image_size, model, checkpoint)
    model['image_size'] = image_size
    _check_image_size(model, params, checkpoint)
  if model.get('positions') == 'rotary':
    note = 'rotary, computed'
  report = (
      converted.report(tensors)
      | left_out
      | {
          'positions': note,
          'preprocessing': f'{converted.listing(pixels)} ({origin})',
      }
  )
  augment = pixels | {'crop_scale': 1.0, 'flip': False}
  return converted.write(
      out,
      params,
      {'model': model, 'augment': augment},
      layout,
      checkpoint,
      report=report,
      preprocessing=pixels
      | {'image_size': model['image_size'], 'color_order': 'RGB'},
      labels=_labels(model, layout),
  )


def export_weights(init_from: files.Path, out: files.Path) -> list[str]:
  """Writes our weights in the layout of PyTorch projects; returns a report.

  Writes all weights of a MAE, the network that enlarges of a super-resolution
  model, and the backbone of any other model.

  Args:
    init_from: workdir of a run, or a folder of weights.
    out: `.pth` or `.safetensors` file to write.

  Raises:
    InputError: if there are no such weights, or `out` has other content.
  """
  model = zoo.without_lora(runs.read_config(init_from)['model'])
  if zoo.is_video(model):
    raise errors.InputError(
        f'--init_from={init_from}: has a video network, which is only read; give a '
        'network of single images'
    )
  if 'network' in model:
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    _, params, model, source = generators.load(init_from, place)
    params = {super_resolution_zoo.GENERATOR: params}
  else:
    if not tasks.task_class({'model': model}).has_layout:
      model = zoo.backbone_section(model)
    params, source = weights.load(init_from, model, param_shapes(model))
  count, written = write_state_dict(out, params, model)
  return [
      f'{init_from}: {converted.sizes(model)}; {converted.listing(source)}',
      f'{out}: {count} tensors '
      f'{"written" if written else "are in the file already"}',
  ]


def write_state_dict(
    out: files.Path, params: Any, model: Mapping[str, Any]
) -> tuple[int, bool]:
  """Writes weights in the layout of their project.

  Args:
    out: `.pth` or `.safetensors` file to write.
    params: weights of a model with a layout, nested by name.
    model: its `model` section.

  Returns:
    (number of tensors, False if the same file exists).

  Raises:
    InputError: `out` has other content.
  """
  params = flat(jax.device_get(params))
  if 'network' not in model:
    params = position_tables.sincos_tables(model) | params
  layout = registry.layout_for(model)
  tensors = state_dicts.to_theirs(params, _rules(params, model, layout))
  tensors = layout.export(tensors)
  return len(tensors), weight_files.write_tensors(out, tensors, key=layout.key)


def read_state_dict(
    path: files.Path, model: Mapping[str, Any]
) -> dict[str, np.ndarray]:
  """Returns the weights by path of a file that `write_state_dict` wrote."""
  tensors, _ = weight_files.read_tensors(path)
  layout = registry.layout_for(model)
  tensors = layout.canonicalize(tensors, path)
  tables = position_tables.sincos_tables(model)
  shapes = _shapes(model) | {k: table.shape for k, table in tables.items()}
  rules = _rules(shapes, model, layout)
  return state_dicts.to_ours(tensors, shapes, rules, path)


def param_shapes(model: Mapping[str, Any]) -> Any:
  """Returns the shapes of the weights of an image model, on the first device."""
  if 'network' in model:
    shapes = super_resolution_zoo.param_shapes(model)
  else:
    shapes = _task_shapes(model)
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shapes
  )


def _task_shapes(model: Mapping[str, Any]) -> Any:
  # Shapes do not depend on pixel values.
  augment = {'mean': (0.0,) * 3, 'std': (1.0,) * 3, 'crop_scale': 1.0}
  task = tasks.make_task({'model': model, 'augment': augment | {'flip': False}})
  images = jax.ShapeDtypeStruct((1, *zoo.input_shape(model)), jnp.uint8)
  return jax.eval_shape(task.init, jax.random.key(0), {'image': images})


def _shapes(model: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
  return {k: x.shape for k, x in flat(param_shapes(model)).items()}


def flat(tree: Any) -> dict[str, Any]:
  """Returns the leaves of a parameter tree by path."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {sharding.path_name(path): leaf for path, leaf in leaves}


def _rules(paths, model, layout) -> dict[str, state_dicts.Rule]:
  return {path: layout.make_rule(path, model) for path in paths}


def _check_image_size(model, params, checkpoint: files.Path) -> None:
  """Raises an InputError if the weights need another image size."""
  wrong = [
      path
      for path, shape in _shapes(model).items()
      if params[path].shape != shape
  ]
  if wrong:
    raise errors.InputError(
        f'--image_size={model["image_size"]}: {errors.few(wrong)} of '
        f'{checkpoint} needs the size of the file; omit the flag'
    )


def _labels(
    model: Mapping[str, Any], layout: state_dicts.Layout
) -> dict[str, Any] | None:
  """Returns the names of the outputs of a classifier, where they are known."""
  count = model.get('num_classes')
  if not count:
    return None
  unknown = 'the order of the training data, which the file does not contain'
  return {'classes': count, 'order': layout.labels.get(count, unknown)}
