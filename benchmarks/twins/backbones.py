"""Backbones in PyTorch with the shapes of ours."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
import transformers

from abaw_jax.models import convnet_zoo
from benchmarks.twins import ddamfn as torch_ddamfn
from benchmarks.twins import densenet as torch_densenet
from benchmarks.twins import iresnet as torch_iresnet
from benchmarks.twins import mobilefacenet as torch_mobilefacenet
from benchmarks.twins import timm_import

OUTPUTS = 22  # valence, arousal, 8 expressions, 12 action units


class Pooled(nn.Module):
  """Returns only the embedding of a Hugging Face model.

  For a ViT, this is the mean of the patch tokens, as in our ViT.
  """

  def __init__(self, model: nn.Module, dim: int):
    super().__init__()
    self.model = model
    self.dim = dim

  def forward(self, pixels):
    output = self.model(pixel_values=pixels)
    if output.pooler_output is None:
      return output.last_hidden_state[:, 1:].mean(1)
    return output.pooler_output.flatten(1)


class Embedding(nn.Module):
  """Returns only the embedding of a reference network of this folder."""

  def __init__(self, model: nn.Module, dim: int):
    super().__init__()
    self.model = model
    self.dim = dim

  def forward(self, pixels):
    return self.model(pixels)['embedding']


def vit(backbone: Any) -> nn.Module:
  """Returns Hugging Face's ViT, DINOv2, DINOv3, CLIP or SigLIP."""
  sizes = {
      'hidden_size': backbone.dim,
      'num_hidden_layers': backbone.depth,
      'num_attention_heads': backbone.num_heads,
      'intermediate_size': 4 * backbone.dim,
      'image_size': backbone.image_size,
      'patch_size': backbone.patch_size,
  }
  if backbone.positions == 'rotary':
    config = transformers.DINOv3ViTConfig(
        **sizes, num_register_tokens=backbone.num_registers
    )
    model = transformers.DINOv3ViTModel(config)
  elif backbone.layer_scale:
    model = transformers.Dinov2Model(transformers.Dinov2Config(**sizes))
  elif backbone.pre_norm:
    model = transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**sizes))
  elif not backbone.class_token:
    config = transformers.SiglipVisionConfig(**sizes)
    model = transformers.SiglipVisionModel(config)
  else:
    config = transformers.ViTConfig(**sizes)
    model = transformers.ViTModel(config, add_pooling_layer=False)
  return Pooled(model, backbone.dim)


def resnet(backbone: Any) -> nn.Module:
  """Returns Hugging Face's ResNet."""
  factor = 4 if backbone.bottleneck else 1
  config = transformers.ResNetConfig(
      depths=list(backbone.layers),
      hidden_sizes=[64 * factor * 2**i for i in range(4)],
      layer_type='bottleneck' if backbone.bottleneck else 'basic',
  )
  return Pooled(transformers.ResNetModel(config), backbone.dim)


def efficientnet(backbone: Any) -> nn.Module:
  """Returns Hugging Face's EfficientNet, without stochastic depth."""
  config = transformers.EfficientNetConfig(
      image_size=backbone.image_size,
      width_coefficient=backbone.width,
      depth_coefficient=backbone.depth,
      hidden_dim=backbone.dim,
      drop_connect_rate=0.0,
      dropout_rate=0.0,
  )
  return Pooled(transformers.EfficientNetModel(config), backbone.dim)


def iresnet(backbone: Any) -> nn.Module:
  """Returns an IResNet with the layout of InsightFace."""
  model = torch_iresnet.IResNet(backbone.layers, backbone.image_size)
  return Embedding(model, backbone.dim)


def densenet(backbone: Any) -> nn.Module:
  """Returns a DenseNet with the layout of torchvision."""
  model = torch_densenet.DenseNet(
      backbone.layers, backbone.growth, backbone.stem_width
  )
  return Embedding(model, backbone.dim)


def mobilefacenet(backbone: Any) -> nn.Module:
  """Returns a MobileFaceNet with the layout of InsightFace."""
  model = torch_mobilefacenet.MobileFaceNet(
      backbone.layers, backbone.scale, backbone.image_size, insightface=True
  )
  return Embedding(model, backbone.dim)


def ddamfn(backbone: Any) -> nn.Module:
  """Returns a DDAMFN++ with the layout of its project."""
  model = torch_ddamfn.DDAMFN(backbone.layers, backbone.image_size)
  return Embedding(model, backbone.dim)


def timm_network(backbone: Any) -> nn.Module:
  """Returns timm's network of the same name, without a classifier."""
  name = next(
      name
      for name, (module, sizes) in convnet_zoo.CONVNETS.items()
      if type(backbone) is module
      and all(getattr(backbone, key) == x for key, x in sizes.items())
  )
  model = timm_import.load().create_model(name, num_classes=0, drop_rate=0.0)
  model.dim = backbone.dim
  return model


TWINS: dict[str, Callable[[Any], nn.Module]] = {
    'ViT': vit,
    'IResNet': iresnet,
    'DenseNet': densenet,
    'EfficientNet': efficientnet,
    'ResNet': resnet,
    'MobileFaceNet': mobilefacenet,
    'DDAMFN': ddamfn,
    'ConvNeXt': timm_network,
    'MobileViT': timm_network,
    'ReXNet': timm_network,
}


def make_steps(
    backbone: Any, *, batch_size: int, dtype: str, device: str
) -> tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]:
  """Returns (forward pass, update with AdamW) of one batch, channels last.

  With bfloat16 they run under autocast. They do not wait for the device.

  Args:
    backbone: our backbone, for its sizes.
    batch_size: images in a batch.
    dtype: 'float32' or 'bfloat16'.
    device: 'cpu' or 'gpu'.
  """
  device = 'cuda' if device == 'gpu' else 'cpu'
  twin = TWINS[type(backbone).__name__](backbone)
  twin = nn.Sequential(twin, nn.Linear(twin.dim, OUTPUTS))
  twin = twin.to(device, memory_format=torch.channels_last)
  optimizer = torch.optim.AdamW(twin.parameters(), lr=1e-4)
  size = backbone.image_size
  images = torch.randn(batch_size, 3, size, size, device=device)
  images = images.to(memory_format=torch.channels_last)
  targets = torch.rand(batch_size, OUTPUTS, device=device)

  def forward() -> torch.Tensor:
    with torch.autocast(device, torch.bfloat16, enabled=dtype == 'bfloat16'):
      return twin(images).float()

  def embed() -> torch.Tensor:
    twin.eval()
    with torch.inference_mode():
      return forward().sum()

  def update() -> torch.Tensor:
    twin.train()
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.mse_loss(forward(), targets)
    loss.backward()
    optimizer.step()
    return loss

  return embed, update
