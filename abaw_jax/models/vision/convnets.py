"""Convolutional backbones by name."""

import dataclasses
from typing import Any

from flax import linen as nn

from abaw_jax.models.vision import densenet, efficientnet, iresnet, resnet

# The module of each network, and what makes it that network.
CONVNETS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    name: (module, sizes)
    for module, table in (
        (iresnet.IResNet, iresnet.SIZES),
        (densenet.DenseNet, densenet.SIZES),
        (efficientnet.EfficientNet, efficientnet.SIZES),
        (resnet.ResNet, resnet.SIZES),
    )
    for name, sizes in table.items()
}

# More than any network has: stem, stages and head.
ALL_STAGES = 99


def freeze(backbone: nn.Module) -> nn.Module:
  """Returns the network with the statistics of all its stages held still."""
  return dataclasses.replace(backbone, frozen_stages=ALL_STAGES, parent=None)
