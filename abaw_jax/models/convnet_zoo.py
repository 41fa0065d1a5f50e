"""Convolutional backbones by name."""

import dataclasses
from typing import Any

from flax import linen as nn

from abaw_jax.models.convnets import (
    convnext,
    ddamfn,
    densenet,
    efficientnet,
    iresnet,
    mobilefacenet,
    mobilevit,
    resnet,
    rexnet,
)

# The module of each network, and its sizes.
CONVNETS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    name: (module, sizes)
    for module, table in (
        (iresnet.IResNet, iresnet.SIZES),
        (densenet.DenseNet, densenet.SIZES),
        (efficientnet.EfficientNet, efficientnet.SIZES),
        (resnet.ResNet, resnet.SIZES),
        (convnext.ConvNeXt, convnext.SIZES),
        (mobilefacenet.MobileFaceNet, mobilefacenet.SIZES),
        (mobilevit.MobileViT, mobilevit.SIZES),
        (rexnet.ReXNet, rexnet.SIZES),
        (ddamfn.DDAMFN, ddamfn.SIZES),
    )
    for name, sizes in table.items()
}

# More stages than any network has, with stem and head.
ALL_STAGES = 99


def freeze(backbone: nn.Module) -> nn.Module:
  """Returns the network with frozen batch statistics in all stages."""
  return dataclasses.replace(backbone, frozen_stages=ALL_STAGES, parent=None)
