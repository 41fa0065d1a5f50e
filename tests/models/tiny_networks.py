"""Networks that compile fast."""

import pytest

from abaw_jax.models import convnet_zoo
from abaw_jax.models.convnets import iresnet

# Values of `model` of a ViT.
VIT = {'backbone': '', 'dim': 32, 'depth': 1, 'num_heads': 2, 'image_size': 32}
WIDTH, DIM = 16, 24


@pytest.fixture(name='tiny_iresnet', scope='module')
def _tiny_iresnet():
  """Gives `iresnet_nano` one stage in place of four, in this process."""
  sizes = {'layers': (1,), 'dim': DIM}
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(iresnet, 'WIDTHS', (WIDTH,))
    patch.setitem(
        convnet_zoo.CONVNETS, 'iresnet_nano', (iresnet.IResNet, sizes)
    )
    yield
