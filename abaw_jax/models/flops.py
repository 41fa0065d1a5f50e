"""FLOPs of models, counted analytically.

A multiply-add counts as 2. The count includes matrix products and attention
scores. It excludes norms, softmax and activations. XLA's own count does not
fit: it counts the body of a scan once, and rematerialised operations twice.
"""

from collections.abc import Mapping
import itertools

from flax import linen as nn
from jaxtyping import Array

from abaw_jax.models.multi_task import frame_model, heads, temporal_model
from abaw_jax.models.temporal import (
    fft_encoder,
    recurrent,
    tcn,
    transformers,
)
from abaw_jax.models.vision import mae, vit


def forward_flops(model: nn.Module, batch: Mapping[str, Array]) -> int:
  """Returns the forward FLOPs of a model of the zoo, per row of the batch."""
  match model:
    case mae.MAE():
      return _mae(model)
    case temporal_model.TemporalModel():
      return _temporal(model, *batch['features'].shape[-2:])
    case frame_model.FrameModel():
      dims = heads.TASK_DIMS.values()
    case _:
      dims = [model.num_classes]
  head = sum(_dense(1, model.backbone.dim, dim) for dim in dims)
  return backbone_flops(model.backbone) + head


def vit_flops(model: vit.ViT, *, visible: int | None = None) -> int:
  """Returns forward FLOPs per input for `visible` patches; None means all."""
  patches = model.num_patches if visible is None else visible
  tokens, dim = patches + model.num_prefix, model.dim
  hidden, gated = model.hidden_dim, model.activation == 'swiglu'
  total = _dense(patches, model.patch_width, dim)
  total += model.depth * _block(tokens, dim, hidden, gated=gated)
  if model.pool == 'attention':
    total += 2 * _dense(1, dim, tokens) + _pool(model, tokens)
  return total + _lora(model, patches)


def _pool(model: vit.ViT, tokens: int) -> int:
  """Returns forward FLOPs per image of the dense layers of attention pooling."""
  dim, hidden = model.dim, model.hidden_dim
  return (
      _dense(tokens, dim, 2 * dim)
      + 2 * _dense(1, dim, dim)
      + (2 + (model.activation == 'swiglu')) * _dense(1, dim, hidden)
  )


def _lora(model: vit.ViT, patches: int) -> int:
  """Returns forward FLOPs per image of the LoRA factors."""
  if not model.lora:
    return 0
  tokens, dim, hidden = patches + model.num_prefix, model.dim, model.hidden_dim
  gate = 2 if model.activation == 'swiglu' else 1
  # Rows, number of layers, and sum of the widths of input and output.
  layers = {
      'qkv': (tokens, model.depth, dim + 3 * dim),
      'proj': (tokens, model.depth, dim + dim),
      'fc1': (tokens, model.depth, dim + gate * hidden),
      'fc2': (tokens, model.depth, hidden + dim),
      'patch_embed': (patches, 1, 3 * model.patch_size**2 + dim),
  }
  return sum(
      count * _dense(rows, model.lora.rank, widths)
      for rows, count, widths in (layers[name] for name in model.lora.targets)
  )


def _frozen_by_lora(model: vit.ViT, patches: int) -> int:
  """Returns the backward FLOPs per image that frozen kernels save.

  These are the gradients of kernels, and all of the patch embedding.
  """
  if not model.lora:
    return 0
  tokens, dim = patches + model.num_prefix, model.dim
  gated = model.activation == 'swiglu'
  block = _block(tokens, dim, model.hidden_dim, gated=gated)
  total = model.depth * (block - 2 * _dense(tokens, dim, tokens))
  if model.pool == 'attention':
    total += _pool(model, tokens)
  return total + 2 * _dense(patches, 3 * model.patch_size**2, dim)


def backbone_flops(model: nn.Module) -> int:
  """Returns the forward FLOPs per image of a ViT or a convolutional network."""
  return vit_flops(model) if isinstance(model, vit.ViT) else model.flops


def _mae(model: mae.MAE) -> int:
  """Returns forward FLOPs per image; only the decoder reads hidden patches."""
  encoder, width = model.encoder, model.decoder_dim
  visible = _visible(model)
  tokens = encoder.num_patches + 1
  return (
      vit_flops(encoder, visible=visible)
      + _dense(visible + 1, encoder.dim, width)
      + model.decoder_depth * _block(tokens, width, 4 * width)
      + _dense(tokens, width, 3 * encoder.patch_size**2)
  )


def _temporal(
    model: temporal_model.TemporalModel, frames: int, width: int
) -> int:
  """Returns the forward FLOPs of a window."""
  total, width = _encoder(model.encoder, frames, width)
  feedback = model.feedback
  for task, out_dim in heads.TASK_DIMS.items():
    dim = width
    if feedback and task in feedback.targets:
      dim += sum(
          {
              'hidden': (width, *model.task_hidden_dims(source))[-1],
              'label': feedback.dim,
              'output': heads.TASK_DIMS[source],
          }[feedback.kind]
          for source in feedback.sources
      )
    if feedback and feedback.kind == 'label' and task in feedback.sources:
      total += _dense(frames, out_dim, feedback.dim)
    if model.private is not None:
      private = model.private(dim=dim, num_heads=1)
      total += private.depth * _block(frames, dim, private.mlp_dim)
    widths = itertools.pairwise((dim, *model.task_hidden_dims(task), out_dim))
    total += sum(_dense(frames, *pair) for pair in widths)
  return total


def _encoder(model: nn.Module, frames: int, width: int) -> tuple[int, int]:
  """Returns (forward FLOPs of a window, width of the hidden states)."""
  match model:
    case recurrent.RecurrentEncoder():
      gates = recurrent.CELLS[model.cell].gates * model.dim
      directions = 2 if model.bidirectional else 1
      total = 0
      for _ in range(model.depth):
        total += directions * _dense(frames, width + model.dim, gates)
        width = directions * model.dim
      return total, width
    case transformers.TransformerEncoder():
      block = _block(frames, model.dim, model.mlp_dim)
    case fft_encoder.FFTEncoder():
      near = 2 * fft_encoder.MAX_DISTANCE + 1
      block = _attention(frames, model.dim) + 2 * _dense(
          frames, model.dim, near
      )
      block += _dense(frames, fft_encoder.KERNEL_SIZE * model.dim, model.dim)
    case tcn.TCNEncoder():
      block = 2 * _dense(frames, model.kernel_size * model.dim, model.dim)
    case _:
      return 0, width
  return _dense(frames, width, model.dim) + model.depth * block, model.dim


def train_flops(
    model: nn.Module, batch: Mapping[str, Array], *, freeze: str = ''
) -> int:
  """Returns the model FLOPs of a training step per row of the batch.

  This is three times the forward pass: the backward pass has two products per
  forward product, for the gradients of inputs and weights. Recomputation by
  rematerialisation does not count (Chowdhery et al., arXiv 2204.02311, appendix
  B). A frozen backbone needs no backward pass, because no trained part precedes
  it. With LoRA, it needs the gradients of inputs, but not of kernels.

  Args:
    model: a model of the zoo.
    batch: a batch; its shapes are used.
    freeze: top-level part that is not trained; '' means none.
  """
  total = 3 * forward_flops(model, batch)
  if isinstance(model, mae.MAE):
    visible = _visible(model)
    if freeze == 'encoder':
      return total - 2 * vit_flops(model.encoder, visible=visible)
    return total - _frozen_by_lora(model.encoder, visible)
  if freeze == 'backbone':
    return total - 2 * backbone_flops(model.backbone)
  backbone = getattr(model, 'backbone', None)
  if isinstance(backbone, vit.ViT):
    return total - _frozen_by_lora(backbone, backbone.num_patches)
  return total


def _visible(model: mae.MAE) -> int:
  return int(model.encoder.num_patches * (1.0 - model.mask_ratio))


def _dense(rows: int, width: int, out_width: int) -> int:
  return 2 * rows * width * out_width


def _block(tokens: int, dim: int, mlp_dim: int, *, gated: bool = False) -> int:
  """Returns the FLOPs of a transformer layer: attention and MLP."""
  products = 3 if gated else 2
  return _attention(tokens, dim) + products * _dense(tokens, dim, mlp_dim)


def _attention(tokens: int, dim: int) -> int:
  """Returns the FLOPs of self-attention: projections and scores."""
  projections = _dense(tokens, dim, 3 * dim) + _dense(tokens, dim, dim)
  return projections + 2 * _dense(tokens, dim, tokens)
