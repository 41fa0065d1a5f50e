r"""Super-resolution: Real-ESRGAN, trained on faces.

  abaw-jax train --config=sr:net_x2 --workdir=runs/sr-net \
      --config.data.name=face_images/celeba --config.data.dir=DATA_DIR
  abaw-jax train --config=sr:gan_x2 --workdir=runs/sr-gan \
      --config.init_from=runs/sr-net ...

The first stage (`net`) minimises the L1 error, the second one (`gan`) adds a
discriminator and starts from the weights of the first. `compact` is the small network,
first stage; add --config.model.discriminator_width=64 for its second. On two CPU
cores, use `small` and `small_gan`, whose degradations are light; `smoke` takes
seconds.

The device makes the small images: `degradation` has the distributions of Wang et al.
(arXiv 2107.10833). Sizes, rates and batches are theirs, with one million updates
(`net`) and 400,000 (`gan`) on the 202,599 images of CelebA. Their perceptual loss
needs a VGG for ImageNet and is not part of this.

Cost and score: `small` and `small_gan` are measured in docs/super_resolution.md. Other
variants: not measured.
"""

import ml_collections

from abaw_jax.configs import base

VARIANTS = (
    'net_x4', 'gan_x4', 'net_x2', 'gan_x2', 'compact', 'small', 'small_gan',
    'smoke',
)  # fmt: skip


def get_config(variant: str = 'net_x4') -> ml_collections.ConfigDict:
  """Returns the experiment; `variant` is a stage and a scale."""
  base.check_variant(variant, VARIANTS)
  is_gan = variant in ('gan_x4', 'gan_x2', 'small_gan', 'smoke')
  config = base.get_config()
  base.add_images(config, '')
  base.add_mixture(config)
  del config.model.backbone
  config.epochs = 95.0 if is_gan else 237.0
  # PSNR falls in the second stage while images get sharper. So it is scored at its
  # end only, and the last weights are the best.
  config.eval_epochs = 0.0 if is_gan else 10.0
  config.plot_steps = 5000

  config.model.name = 'sr'
  config.model.network = 'rrdb'  # 'rrdb' or 'compact'
  config.model.scale = 4  # side of the output / side of the input
  config.model.width = 64  # channels of the feature maps
  config.model.growth = 32  # channels that a convolution of 'rrdb' adds
  config.model.blocks = 23  # of 'rrdb'
  config.model.convs = 32  # of 'compact'
  # Channels of the first map of the discriminator; 0 = no discriminator.
  config.model.discriminator_width = 64 if is_gan else 0
  # Side in pixels of the good images in training: random squares of the images that
  # go to the device, at their resolution. Evaluation uses full images.
  config.model.image_size = 256

  config.loss = ml_collections.ConfigDict()
  config.loss.l1 = 1.0  # weight of the L1 error
  config.loss.adversarial = 0.1  # weight of the generator's adversarial loss
  # Folder of converted weights of a convolutional network, whose feature maps of the
  # output and of the target shall be equal; '' = no such loss.
  config.loss.perceptual = ''
  config.loss.perceptual_weight = 1.0
  # Whether the targets of the generator are sharpened, as published. PSNR and SSIM
  # compare with the images themselves.
  config.loss.sharpen = True

  add_degradation(config)

  config.augment.mean = (0.0, 0.0, 0.0)
  config.augment.std = (1.0, 1.0, 1.0)
  config.data.batch_size = 48

  config.optim.lr = config.optim.end_lr = 1e-4 if is_gan else 2e-4
  # Learning rate of the discriminator / that of the generator.
  config.optim.discriminator_rate = 1.0
  config.optim.b2 = 0.99
  config.optim.weight_decay = 0.0
  config.optim.clip_by = 'part'  # with `clip_norm`: each network on its own
  config.optim.ema = 0.999

  if variant in ('net_x2', 'gan_x2'):
    config.model.scale = 2
  if variant in ('compact', 'small', 'small_gan', 'smoke'):
    config.model.network = 'compact'
  if variant in ('small', 'small_gan', 'smoke'):
    config.model.scale = 2
    config.model.dtype = 'float32'
    config.model.width = 48
    config.model.convs = 6
    config.model.image_size = 64
    config.data.face_size = 112
    config.data.batch_size = 16
    config.loss.sharpen = False
    config.optim.lr = 1e-3
    config.optim.end_lr = 0.0
    config.epochs = 12.0
    config.eval_epochs = 0.0
    config.plot_steps = 500
    soften(config.degradation)
  if variant == 'small_gan':
    config.model.discriminator_width = 16
    config.optim.lr = 2e-4
    config.epochs = 4.0
  if variant == 'smoke':
    config.model.width = config.model.discriminator_width = 8
    config.model.convs = 2
    config.model.image_size = 32
    config.data.face_size = 64
    config.data.batch_size = 8
    config.data.name = 'procedural/tiny'
    config.epochs = 1.0
    config.plot_steps = 0
  return config


def add_degradation(config: ml_collections.ConfigDict) -> None:
  """Adds the distributions of small images. A range has its ends.

  Probabilities of several choices count up to a common factor.
  """
  config.degradation = ml_collections.ConfigDict()
  for name in ('first', 'second'):
    section = config.degradation[name] = ml_collections.ConfigDict()
    section.blur_prob = 1.0
    # Gaussian, generalised Gaussian and plateau, each isotropic and anisotropic.
    section.kernel_probs = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    section.sinc_prob = 0.1  # of a sinc filter in place of such a kernel
    section.blur_sigma = (0.2, 3.0)  # pixels
    section.generalized_beta = (0.5, 4.0)  # shape of generalised Gaussians
    section.plateau_beta = (1.0, 2.0)  # shape of plateaus
    section.resize_probs = (0.2, 0.7, 0.1)  # larger, smaller, neither
    # Of the factor; in the second stage, it counts from the side of the result.
    section.resize_range = (0.15, 1.5)
    section.gaussian_prob = 0.5  # otherwise Poisson noise
    section.noise_sigma = (1.0, 30.0)  # in units of 1 / 255
    section.poisson_scale = (0.05, 3.0)  # factor of Poisson noise
    section.grey_prob = 0.4  # of the same noise in all channels
    section.jpeg_quality = (30.0, 95.0)  # as in libjpeg
  section.blur_prob = 0.8
  section.blur_sigma = (0.2, 1.5)
  section.resize_probs = (0.3, 0.4, 0.3)
  section.resize_range = (0.3, 1.2)
  section.noise_sigma = (1.0, 25.0)
  section.poisson_scale = (0.05, 2.5)
  config.degradation.final_sinc_prob = 0.8  # of a sinc filter at the end


def soften(section: ml_collections.ConfigDict) -> None:
  """Makes degradations light, for images that are nearly clean.

  A network that has seen noise and blur only removes details of clean images.
  """
  section.final_sinc_prob = 0.2
  for stage in (section.first, section.second):
    stage.blur_prob = 0.3
    stage.blur_sigma = (0.2, 1.0)
    stage.resize_probs = (0.0, 0.0, 1.0)
    stage.noise_sigma = (0.0, 4.0)
    stage.poisson_scale = (0.0, 0.3)
    stage.jpeg_quality = (75.0, 100.0)
