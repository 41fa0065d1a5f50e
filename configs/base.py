"""Every key that all experiments share, with its unit and meaning.

An experiment starts from `get_config` here and changes what it must. The config
is locked: a key that does not stand here or in the experiment is an error.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the shared keys with values that suit most experiments."""
  config = ml_collections.ConfigDict()

  config.seed = 0  # initial weights, order of the data, augmentation, dropout
  config.epochs = 1.0  # passes over the training examples
  config.init_from = ''  # workdir whose best weights to start from; '' = none

  # The model: `name` chooses it (abaw_jax/models/zoo.py), the experiment's other
  # keys make it.
  config.model = ml_collections.ConfigDict()

  config.data = ml_collections.ConfigDict()
  # Dataset as built by data_builders.build; 'procedural' renders one under
  # data/ on first use, 'procedural/affectnet' one in that layout, and likewise
  # for fer_plus, raf_db and emotionet.
  config.data.name = 'procedural'
  config.data.dir = ''  # --data_dir of the build; may stay '' for procedural
  config.data.batch_size = 256  # examples per update, over all devices
  config.data.num_workers = 0  # processes that read, per host; 0 = threads only
  config.data.read_threads = 4  # threads that read, in each process

  config.optim = ml_collections.ConfigDict()
  config.optim.lr = 1e-3  # peak learning rate
  # Whether `lr` is meant for 256 examples per update and grows in proportion to
  # the batch (Goyal et al., 2017).
  config.optim.scale_lr = False
  # How it moves. 'cosine': from update to update. The others stand still within
  # an epoch: 'linear' falls from `hold_epochs` on, 'linear_with_warmup' rises
  # through `warmup_epochs` and falls from then on, both towards 0 behind the last
  # epoch; 'step' falls to a tenth every `hold_epochs`.
  config.optim.schedule = 'cosine'
  # Linear up to `lr`; 'cosine' and 'linear_with_warmup'.
  config.optim.warmup_epochs = 0.0
  config.optim.hold_epochs = 0.0  # epochs at one rate; 'linear' and 'step'
  # Whether the first epoch of 'linear_with_warmup' has a rate of 0, as in AIM3's
  # published code.
  config.optim.warmup_from_zero = False
  config.optim.end_lr = 0.0  # where the cosine decay ends
  config.optim.b1 = 0.9  # AdamW: decay of the first moment
  config.optim.b2 = 0.999  # AdamW: decay of the second moment
  # AdamW: added to the root of the second moment. HSE-NN's code of 2021-12 to
  # 2022-05 took `sam_rho` for it, 0.05, by mistake.
  config.optim.eps = 1e-8
  config.optim.weight_decay = 0.05  # on kernels only
  config.optim.clip_norm = 0.0  # largest norm of the gradient; 0 = no clipping
  # What that is the norm of: 'all' parameters, or each top-level 'part' of them
  # by itself.
  config.optim.clip_by = 'all'
  config.optim.layer_decay = 1.0  # learning rate of a block over the next one's
  config.optim.freeze = ''  # top-level part that stays as it starts; '' = none
  # Parts of a batch that are differentiated one after the other, to save memory;
  # the update follows the mean of their gradients.
  config.optim.microbatches = 1
  # Sharpness-aware minimisation (Foret et al., arXiv 2010.01412): gradients are
  # those at the worst weights within this L2 distance. Twice the work; 0 = off.
  config.optim.sam_rho = 0.0
  # Whether both passes of it move batch statistics, as in HSE-NN's published
  # code, or the first alone, which is that of the weights themselves.
  config.optim.sam_faithful = False
  # Decay per update of the moving average of the weights, which is evaluated,
  # saved as the run's weights and started from; 0 = off.
  config.optim.ema = 0.0

  config.mesh = ml_collections.ConfigDict()
  config.mesh.fsdp = 1  # devices that share one copy of parameters and moments

  config.log_steps = 50  # updates between two lines of metrics
  config.save_steps = 500  # updates between two checkpoints; 0 = none
  # Minutes between two checkpoints, by the clock of process 0; 0 = none.
  config.save_minutes = 0.0
  # Updates between two pictures of what the model does, in plots/ and tb/, for
  # models that have one; 0 = none.
  config.plot_steps = 0
  config.profile_start = 0  # updates before the profiled ones
  config.profile_steps = 0  # updates to profile into tb/; 0 = none
  config.eval_epochs = (
      1.0  # epochs between two evaluations; 0 = only at the end
  )
  # Whether to keep, beside the checkpoint with the best score of all tasks, the
  # weights that each task alone was best with.
  config.keep_task_bests = False
  # Updates in a row that may be skipped for NaN or Inf before training stops.
  config.max_bad_steps = 20
  return config


def add_images(config: ml_collections.ConfigDict) -> None:
  """Adds the keys of experiments that read face images."""
  # Side in pixels at which images reach the device, which crops or resizes them
  # to model.image_size; 0 = model.image_size.
  config.data.face_size = 0
  config.augment = ml_collections.ConfigDict()
  config.augment.mean = (0.485, 0.456, 0.406)  # RGB, of ImageNet
  config.augment.std = (0.229, 0.224, 0.225)
  config.augment.crop_scale = 1.0  # least area of a random crop; 1 = no crop
  config.augment.flip = True  # mirror half of the training images
  # Random brightness, contrast, saturation (factors of 1 +- this) and hue (by
  # up to this part of a circle, at most 0.5); 0 leaves one alone.
  config.augment.jitter = (0.0, 0.0, 0.0, 0.0)
  config.augment.rand_ops = 0  # RandAugment: operations on each image; 0 = none
  config.augment.rand_magnitude = 9  # their strength, 0 to 30
  # Probability that a training image loses a random box; 0 = never.
  config.augment.erase = 0.0


def add_multi_task_loss(config: ml_collections.ConfigDict) -> None:
  """Adds the keys of experiments that train valence to action units.

  'counts' are those of the labels that are trained on, of all datasets in
  `data.name` together, however often `data.weights` or `data.balance` draws
  them.
  """
  config.loss = ml_collections.ConfigDict()
  config.loss.weights = ml_collections.ConfigDict()  # factor of each loss
  config.loss.weights.valence = 1.0
  config.loss.weights.arousal = 1.0
  config.loss.weights.expression = 1.0
  config.loss.weights.au = 1.0
  # 'ccc', 1 - CCC; 'half_ccc', (1 - CCC) / 2 with unbiased variances, that of
  # MT-EmotiEffNet; or 'mse'.
  config.loss.va_loss = 'ccc'
  # What an MSE is divided by: the number of 'labelled' frames, or of 'all', as
  # in AIM3's published code.
  config.loss.va_mean = 'labelled'
  # Factors of the expressions: 'none'; 'counts', the largest class's count over
  # each one's own; or eight numbers in the order of labels.EXPRESSIONS.
  config.loss.class_weights = 'none'
  # What the weighted cross-entropy is divided by: the 'weights' of its rows'
  # classes, as PyTorch does, or the number of 'rows'.
  config.loss.class_weight_mean = 'weights'
  config.loss.label_smoothing = 0.0  # share spread over all expressions
  # Factor of the logarithm of the expressions' frequencies, which is added to
  # their logits in training: the model then learns what balanced classes would
  # teach (Menon et al., arXiv 2007.07314); 0 = off, 1 as derived.
  config.loss.prior_adjustment = 0.0
  # Factors of present and absent action units: 'none', or 'counts', n / 2
  # n_present and n / 2 n_absent of each.
  config.loss.au_weights = 'none'


def add_frames(config: ml_collections.ConfigDict) -> None:
  """Adds the keys of experiments that train on labelled images."""
  add_images(config)
  add_multi_task_loss(config)
  # How strongly images are blended in training, the parameter of a Beta
  # distribution; 0 = not (Zhang et al., arXiv 1710.09412).
  config.loss.mixup = 0.0
  # Datasets to mix, `name` or `name/config`, separated by commas: `data.name`;
  # how often each is drawn, such as '3,1'; '' = by size.
  config.data.weights = ''
  # Which of several datasets to score on, separated by commas; '' = all of them.
  config.data.validation = ''
  # 'expression' draws each expression equally often; images without one keep
  # their share. 'none' takes the images as they are.
  config.data.balance = 'none'
  # What votes of annotators (FER+) become: their 'majority'; a 'probability'
  # from which a class is drawn each time; or the distribution itself, for
  # 'crossentropy'. Datasets without votes have one class in each of the three.
  config.data.expression_targets = 'majority'


def check_variant(variant: str, variants: tuple[str, ...]) -> None:
  """Raises a ValueError that lists the variants if there is no such one."""
  if variant not in variants:
    raise ValueError(
        f'unknown variant {variant!r}; choose one of {", ".join(variants)}'
    )
