"""Config keys that all experiments share, with their units and meanings.

An experiment starts from `get_config` and changes values. The config is locked: an
unknown key is an error.
"""

import ml_collections

from abaw_jax.configs import losses

# The range of every number of every config, with the keys that have it; `inf` itself
# is outside. A tuple has one interval for each of its numbers, or one for all.
_KEYS = {
    'a number in (0, inf)': (
        'epochs optim.eps loss.scale model.lora_alpha model.norm_eps'
    ),
    'a number in [0, inf)': (
        'eval_epochs save_minutes optim.lr optim.warmup_epochs '
        'optim.hold_epochs optim.end_lr optim.weight_decay optim.clip_norm '
        'optim.sam_rho loss.weights.valence loss.weights.arousal '
        'loss.weights.expression loss.weights.au loss.prior_adjustment '
        'loss.mixup loss.pseudo_weight loss.least_loss loss.l2 loss.l1 loss.adversarial '
        'loss.perceptual_weight '
        'optim.discriminator_rate'
    ),
    'a number in [0, 1)': (
        'optim.b1 optim.b2 optim.ema loss.label_smoothing model.dropout '
        'model.drop_path model.encoder_dropout'
    ),
    'a number in [0, 1]': (
        'augment.erase augment.mask model.feed_truth_rate degradation.final_sinc_prob'
    ),
    'a number in (0, 1]': 'augment.crop_scale optim.layer_decay data.video_share',
    'a number in (0, 1)': 'model.mask_ratio',
    'a number in [0, 2]': 'loss.margin',
    'numbers in [0, 1], [0, 1], [0, 1]': 'augment.mean',
    'numbers in (0, 1], (0, 1], (0, 1]': 'augment.std',
    'numbers in [0, inf), [0, inf), [0, inf), [0, 0.5]': 'augment.jitter',
    'an integer in [0, 2e9]': (
        'early_stop_evals save_steps plot_steps profile_start profile_steps '
        'data.num_workers data.face_size data.num_folds data.fold data.fill_labels '
        'augment.rand_ops model.num_classes model.private_layers '
        'model.va_features model.discriminator_width model.lora_rank '
        'model.num_registers'
    ),
    'an integer in [1, 2e9]': (
        'log_steps max_bad_steps data.batch_size data.read_threads data.window '
        'data.stride optim.microbatches mesh.fsdp mesh.zero model.image_size '
        'model.patch_size model.dim model.depth model.num_heads model.mlp_dim '
        'model.num_frames model.tubelet_size '
        'model.max_length model.private_head_dim model.feed_dim '
        'model.decoder_dim model.decoder_depth model.decoder_num_heads '
        'model.scale model.width model.growth model.blocks model.convs'
    ),
    'an integer in [2, 2e9]': 'model.kernel_size',
    'integers in [1, 2e9]': 'model.hidden_dims',
    'an integer in [0, 30]': 'augment.rand_magnitude',
    'an integer in [0, 4294967295]': 'seed data.fold_seed data.share_seed',
}
RANGES = {key: text for text, keys in _KEYS.items() for key in keys.split()}
RANGES |= losses.RANGES
# The same for both stages of a degradation.
_STAGE = {
    'a number in [0, 1]': 'blur_prob sinc_prob gaussian_prob grey_prob',
    'numbers in [0, 1], [0, 1], [0, 1], [0, 1], [0, 1], [0, 1]': 'kernel_probs',
    'numbers in [0, 1], [0, 1], [0, 1]': 'resize_probs',
    'numbers in (0, inf), (0, inf)': 'blur_sigma generalized_beta plateau_beta',
    'numbers in (0, 8], [1, 8]': 'resize_range',
    'numbers in [0, inf), [0, inf)': 'noise_sigma poisson_scale',
    'numbers in [1, 100], [1, 100]': 'jpeg_quality',
}
RANGES |= {
    f'degradation.{stage}.{key}': text
    for stage in ('first', 'second')
    for text, keys in _STAGE.items()
    for key in keys.split()
}


def get_config() -> ml_collections.ConfigDict:
  """Returns the shared keys with common default values."""
  config = ml_collections.ConfigDict()

  config.seed = 0  # of initial weights, data order, augmentation and dropout
  config.epochs = 1.0  # passes over the training examples
  config.init_from = ''  # workdir with the initial weights; '' = random

  # `name` selects the model (abaw_jax/models/zoo.py); the other keys are its
  # hyperparameters.
  config.model = ml_collections.ConfigDict()

  config.data = ml_collections.ConfigDict()
  # Dataset that `abaw-jax build` wrote. 'procedural' renders a dataset under data/
  # on first use; 'procedural/affectnet' renders it in the layout of AffectNet. The
  # same works for fer_plus, raf_db, lsd and emotionet. 'procedural/tiny' is a tiny
  # corpus for temporal models, or few people for identity and super-resolution.
  config.data.name = 'procedural'
  # --data_dir of the build, on a disk or in a gs:// or s3:// bucket; optional for
  # procedural.
  config.data.dir = ''
  # Local folder of the copies of datasets in buckets. Each host copies a split once,
  # before it reads it; '' = $XDG_CACHE_HOME/abaw_jax/datasets, or ~/.cache/...
  config.data.cache_dir = ''
  config.data.batch_size = 256  # examples per update, over all devices
  config.data.num_workers = 0  # processes that read, per host; 0 = threads only
  config.data.read_threads = 4  # threads that read, in each process
  # Whether training keeps its data in host memory: images as decoded squares of
  # `face_size`, or features. Each process holds the whole training split. It
  # prints the size first, and stops if that is over 90% of the free memory.
  # `num_workers` then only decode at the start; threads make the batches.
  config.data.in_memory = False

  config.optim = ml_collections.ConfigDict()
  config.optim.name = 'adamw'  # or lion, adafactor, muon (docs/finetuning.md)
  config.optim.lr = 1e-3  # peak learning rate
  # Whether `lr` is for 256 examples per update and scales with the batch size
  # (Goyal et al., 2017).
  config.optim.scale_lr = False
  # 'cosine' changes at every update. The others are constant within an epoch:
  # 'linear' decays after `hold_epochs`; 'linear_with_warmup' rises for
  # `warmup_epochs` and then decays; both would reach 0 in the epoch after the last
  # one. 'step' decays to a tenth every `hold_epochs`.
  config.optim.schedule = 'cosine'
  # Linear warmup to `lr`; for 'cosine' and 'linear_with_warmup'.
  config.optim.warmup_epochs = 0.0
  config.optim.hold_epochs = 0.0  # constant epochs; for 'linear' and 'step'
  # Whether the first epoch of 'linear_with_warmup' has a rate of 0, as in the
  # published code of AIM3-RUC.
  config.optim.warmup_from_zero = False
  config.optim.end_lr = 0.0  # last value of the cosine decay
  config.optim.b1 = 0.9  # decay of the first moment; not of adafactor
  config.optim.b2 = 0.999  # decay of the second moment; not of adafactor
  # AdamW and muon: added to the square root of the second moment. The code of HSE-NN of
  # 2021-12 to 2022-05 used the value of `sam_rho`, 0.05, by mistake.
  config.optim.eps = 1e-8
  config.optim.weight_decay = 0.05  # on kernels only
  config.optim.clip_norm = 0.0  # maximal gradient norm; 0 = no clipping
  # Norm over 'all' parameters, or over each top-level 'part' separately.
  config.optim.clip_by = 'all'
  config.optim.layer_decay = 1.0  # learning rate of a block / that of the next
  config.optim.freeze = ''  # top-level part that is not trained; '' = none
  # Parts of a batch that are differentiated one after the other, to save memory.
  # The update uses the mean of their gradients.
  config.optim.microbatches = 1
  # Whether gradients of dense kernels are float32, also while they are summed over
  # devices. Otherwise they have the dtype of the model, which is half as many bytes
  # in bfloat16.
  config.optim.float32_gradients = False
  # Sharpness-aware minimisation (Foret et al., arXiv 2010.01412): radius (L2) of
  # the perturbation of the weights. It doubles the cost; 0 = off.
  config.optim.sam_rho = 0.0
  # Whether both passes of SAM update batch statistics, as in the published code of
  # HSE-NN, or only the first pass, with the unperturbed weights.
  config.optim.sam_faithful = False
  # Decay per update of the EMA of the weights; 0 = off. Evaluation, the saved
  # weights and `init_from` use the EMA.
  config.optim.ema = 0.0

  config.mesh = ml_collections.ConfigDict()
  config.mesh.fsdp = 1  # devices that shard one copy of parameters and moments
  # ZeRO, stage 1 (Rajbhandari et al., arXiv 1910.02054): devices, or groups of
  # `fsdp` devices, that shard weights and moments between two updates.
  config.mesh.zero = 1

  # Project of Weights & Biases that also gets the metrics; '' = none. Keys and hosts
  # are never in a config (docs/metrics.md).
  config.wandb = ml_collections.ConfigDict()
  config.wandb.project = ''

  config.log_steps = 50  # updates between two log lines
  config.save_steps = 500  # updates between two checkpoints; 0 = none
  # Minutes between two checkpoints, on the clock of process 0; 0 = none.
  config.save_minutes = 0.0
  # Updates between two histograms of weights and gradients in tb/, and, for tasks
  # that have a picture, between two pictures in plots/ and tb/; 0 = none.
  config.plot_steps = 0
  config.profile_start = 0  # updates before the profile starts
  config.profile_steps = 0  # updates to profile into tb/; 0 = none
  config.eval_epochs = 1.0  # epochs between evaluations; 0 = only at the end
  # Evaluations in a row without a better score that end the run; 0 = off.
  config.early_stop_evals = 0
  # Whether to keep the best weights of each task, in addition to the checkpoint
  # with the best total score.
  config.keep_task_bests = False
  # Consecutive updates that may be skipped because of NaN or Inf; more is an error.
  config.max_bad_steps = 20
  return config


def add_images(config: ml_collections.ConfigDict, backbone: str) -> None:
  """Adds the keys of experiments that read face images."""
  config.model.backbone = backbone
  config.model.image_size = 112  # pixels
  config.model.dtype = 'bfloat16'  # of computation; parameters are float32
  # Activations that the backward pass recomputes: 'none', 'dots' or 'all'.
  config.model.remat = 'none'
  # Side in pixels of images that go to the device. The device crops or resizes
  # them to model.image_size; 0 = model.image_size.
  config.data.face_size = 0
  config.augment = ml_collections.ConfigDict()
  # With `init_from`, `fit`, `filter`, `mean` and `std` are those of its weights.
  # How the host makes a square: 'crop' keeps the central one, 'squash' the full
  # image.
  config.augment.fit = 'crop'
  # How the host resizes: 'opencv' (area down, cubic up), 'opencv_linear', or
  # 'bilinear' and 'bicubic' of Pillow, with antialiasing.
  config.augment.filter = 'opencv'
  config.augment.mean = (0.485, 0.456, 0.406)  # RGB, as for ImageNet
  config.augment.std = (0.229, 0.224, 0.225)
  config.augment.crop_scale = 1.0  # minimal area of a random crop; 1 = no crop
  config.augment.flip = True  # mirror a training image with probability 0.5
  # Random brightness, contrast and saturation (factors of 1 +- this) and hue
  # (shift by up to this part of a circle, at most 0.5); 0 = none.
  config.augment.jitter = (0.0, 0.0, 0.0, 0.0)
  config.augment.rand_ops = 0  # RandAugment: operations per image; 0 = none
  config.augment.rand_magnitude = 9  # their strength, 0 to 30
  # Random erasing: probability that a random box is removed; 0 = never.
  config.augment.erase = 0.0
  # Probability that a region of an aligned face is masked with the mean colour, and
  # the regions, of which one is drawn; 0 = never; docs/losses.md.
  config.augment.mask = 0.0
  config.augment.mask_regions = 'upper,lower,eyes,mouth,blocks'


def add_vit(config: ml_collections.ConfigDict) -> None:
  """Adds the keys of a ViT to those of `add_images`."""
  config.model.patch_size = 8  # pixels
  config.model.positions = 'sincos'  # 'sincos' (fixed) or 'learned'
  config.model.drop_path = 0.0  # stochastic depth
  config.model.scan = False  # compile one block and loop over it
  # Whether an NVIDIA GPU uses cuDNN's fused attention; needs bfloat16.
  config.model.cudnn_attention = False
  # LoRA (docs/finetuning.md): rank of the factors, all that is trained in the
  # backbone; 0 = off. Layers with factors: some of qkv, proj, fc1, fc2, patch_embed.
  config.model.lora_rank = 0
  config.model.lora_alpha = 16.0  # their product times lora_alpha / lora_rank
  config.model.lora_targets = 'qkv,proj,fc1,fc2'


def add_mixture(config: ml_collections.ConfigDict) -> None:
  """Adds the key of experiments that read several datasets."""
  # `data.name` may list several datasets, `name` or `name/config`, separated by
  # commas. Their sampling weights, such as '3,1'; '' = by size.
  config.data.weights = ''


def add_frames(config: ml_collections.ConfigDict, backbone: str) -> None:
  """Adds the keys and shared values of experiments on labelled images."""
  add_images(config, backbone)
  add_mixture(config)
  losses.add_multi_task_loss(config)
  config.model.name = 'frame'
  config.model.dropout = 0.0  # on the embedding
  config.epochs = 20.0
  config.augment.crop_scale = 0.8
  config.optim.scale_lr = True
  config.optim.warmup_epochs = 2.0
  losses.add_images(config)
  # Datasets whose validation split scores the run, separated by commas; '' = all.
  config.data.validation = ''
  # Class-balanced sampling: 'expression' draws each expression equally often, and
  # images without an expression as often as before; 'none' = off.
  config.data.class_balance = 'none'
  # Share of the training videos that is used, to measure how many labels a model
  # needs, and the seed that draws these videos.
  config.data.video_share = 1.0
  config.data.share_seed = 0
  # Target from the votes of annotators (FER+): their 'majority'; a class that is
  # drawn from the distribution of votes each time ('probability'); or the
  # distribution itself ('crossentropy'). No effect without votes.
  config.data.expression_targets = 'majority'


def check_variant(variant: str, variants: tuple[str, ...]) -> None:
  """Raises a ValueError that lists the variants if this one is unknown."""
  if variant not in variants:
    raise ValueError(
        f'unknown variant {variant!r}; choose one of {", ".join(variants)}'
    )
