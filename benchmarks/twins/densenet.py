"""Reference DenseNets in PyTorch with the names of torchvision and AIM3."""

import torch
from torch import nn
from torch.nn import functional


class Layer(nn.Module):
  """Concatenates the input with BN, ReLU, conv 1x1, BN, ReLU, conv 3x3 of it."""

  def __init__(self, width: int, growth: int):
    super().__init__()
    self.norm1 = nn.BatchNorm2d(width)
    self.conv1 = nn.Conv2d(width, 4 * growth, 1, bias=False)
    self.norm2 = nn.BatchNorm2d(4 * growth)
    self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

  def forward(self, x):
    y = self.conv1(functional.relu(self.norm1(x)))
    return torch.cat([x, self.conv2(functional.relu(self.norm2(y)))], dim=1)


class Transition(nn.Module):
  """Halves the number of channels and the side of the map."""

  def __init__(self, width: int):
    super().__init__()
    self.norm = nn.BatchNorm2d(width)
    self.conv = nn.Conv2d(width, width // 2, 1, bias=False)

  def forward(self, x):
    x = self.conv(functional.relu(self.norm(x)))
    return functional.avg_pool2d(x, 2)


class DenseNet(nn.Module):
  """Returns the feature map of every stage and the embedding by our names.

  With `grey` it is AIM3's network: it converts images to one channel, and the
  name of its last norm ends in the number of its stages.
  """

  def __init__(
      self,
      layers: tuple[int, ...],
      growth: int,
      stem_width: int,
      grey: bool = False,
      num_classes: int = 0,
  ):
    super().__init__()
    self.grey = grey
    self.features = nn.Module()
    size = 3 if grey else 7
    self.features.conv0 = nn.Conv2d(
        1 if grey else 3, stem_width, size, 2, size // 2, bias=False
    )
    if not grey:
      self.features.norm0 = nn.BatchNorm2d(stem_width)
    width = stem_width
    self.stages = len(layers)
    for stage, count in enumerate(layers, start=1):
      block = nn.Sequential()
      for i in range(1, count + 1):
        block.add_module(f'denselayer{i}', Layer(width, growth))
        width += growth
      self.features.add_module(f'denseblock{stage}', block)
      if stage < self.stages:
        self.features.add_module(f'transition{stage}', Transition(width))
        width //= 2
    self.last_norm = f'norm{self.stages if grey else 5}'
    self.features.add_module(self.last_norm, nn.BatchNorm2d(width))
    if num_classes:
      self.classifier = nn.Linear(width, num_classes)

  def forward(self, x) -> dict[str, torch.Tensor]:
    part = self.features.get_submodule
    if self.grey:
      red, green, blue = x.unbind(1)
      x = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    x = part('conv0')(x)
    if not self.grey:
      x = functional.max_pool2d(functional.relu(part('norm0')(x)), 3, 2, 1)
    maps = {'stem': x}
    for stage in range(1, self.stages + 1):
      x = maps[f'stage{stage}'] = part(f'denseblock{stage}')(x)
      if stage < self.stages:
        x = part(f'transition{stage}')(x)
    maps['map'] = functional.relu(part(self.last_norm)(x))
    maps['embedding'] = maps['map'].mean((2, 3))
    if 'classifier' in self._modules:
      maps['logits'] = self.classifier(maps['embedding'])
    return maps
