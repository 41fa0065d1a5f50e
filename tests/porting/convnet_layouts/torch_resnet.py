"""Reference ResNet in PyTorch with torchvision's names."""

import torch
from torch import nn
from torch.nn import functional


def conv(width: int, out_width: int, size: int, stride: int = 1) -> nn.Conv2d:
  return nn.Conv2d(width, out_width, size, stride, size // 2, bias=False)


class Bottleneck(nn.Module):

  def __init__(self, width: int, inner: int, stride: int):
    super().__init__()
    self.conv1 = conv(width, inner, 1)
    self.bn1 = nn.BatchNorm2d(inner)
    self.conv2 = conv(inner, inner, 3, stride)
    self.bn2 = nn.BatchNorm2d(inner)
    self.conv3 = conv(inner, 4 * inner, 1)
    self.bn3 = nn.BatchNorm2d(4 * inner)
    self.downsample = None
    if stride > 1 or width != 4 * inner:
      self.downsample = nn.Sequential(
          conv(width, 4 * inner, 1, stride), nn.BatchNorm2d(4 * inner)
      )

  def forward(self, x):
    y = functional.relu(self.bn1(self.conv1(x)))
    y = functional.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(y))
    shortcut = x if self.downsample is None else self.downsample(x)
    return functional.relu(y + shortcut)


class BasicBlock(nn.Module):

  def __init__(self, width: int, inner: int, stride: int):
    super().__init__()
    self.conv1 = conv(width, inner, 3, stride)
    self.bn1 = nn.BatchNorm2d(inner)
    self.conv2 = conv(inner, inner, 3)
    self.bn2 = nn.BatchNorm2d(inner)
    self.downsample = None
    if stride > 1 or width != inner:
      self.downsample = nn.Sequential(
          conv(width, inner, 1, stride), nn.BatchNorm2d(inner)
      )

  def forward(self, x):
    y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
    shortcut = x if self.downsample is None else self.downsample(x)
    return functional.relu(y + shortcut)


class ResNet(nn.Module):
  """Returns the feature map of every stage and the embedding by our names."""

  def __init__(
      self, layers=(3, 4, 6, 3), stem_width=64, classes=0, bottleneck=True
  ):
    super().__init__()
    self.conv1 = conv(3, stem_width, 7, 2)
    self.bn1 = nn.BatchNorm2d(stem_width)
    self.maxpool = nn.MaxPool2d(3, 2, 1)
    width = stem_width
    for stage, count in enumerate(layers):
      inner = stem_width * 2**stage
      blocks = []
      for i in range(count):
        stride = 2 if stage and not i else 1
        make = Bottleneck if bottleneck else BasicBlock
        blocks.append(make(width, inner, stride))
        width = 4 * inner if bottleneck else inner
      self.add_module(f'layer{stage + 1}', nn.Sequential(*blocks))
    self.stages = len(layers)
    self.fc = nn.Linear(width, classes) if classes else nn.Identity()

  def forward(self, x) -> dict[str, torch.Tensor]:
    maps = {'stem': self.maxpool(functional.relu(self.bn1(self.conv1(x))))}
    x = maps['stem']
    for stage in range(1, self.stages + 1):
      x = maps[f'stage{stage}'] = self.get_submodule(f'layer{stage}')(x)
    maps |= {'map': x, 'embedding': x.mean((2, 3))}
    if isinstance(self.fc, nn.Identity):
      return maps
    return maps | {'logits': self.fc(maps['embedding'])}
