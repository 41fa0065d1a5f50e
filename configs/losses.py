"""Config keys of the losses of valence, arousal, expressions and action units."""

import ml_collections

# Ranges of the newer keys, as in configs/base.py.
_KEYS = {
    'a number in (0, inf)': 'loss.va_density_sigma',
    'a number in [0, inf)': (
        'loss.focal_gamma loss.asymmetric_gamma_pos loss.asymmetric_gamma_neg '
        'loss.identity_adversarial'
    ),
    'a number in [0, 1)': 'loss.asymmetric_clip',
}
RANGES = {key: text for text, keys in _KEYS.items() for key in keys.split()}


def add_multi_task_loss(config: ml_collections.ConfigDict) -> None:
  """Adds the loss keys of valence, arousal, expressions and action units.

  'counts' means label counts of the training split, summed over all datasets of
  `data.name`. `data.weights` and `data.class_balance` do not change them.
  """
  config.loss = ml_collections.ConfigDict()
  config.loss.weights = ml_collections.ConfigDict()  # factor of each loss
  config.loss.weights.valence = 1.0
  config.loss.weights.arousal = 1.0
  config.loss.weights.expression = 1.0
  config.loss.weights.au = 1.0
  # Further factors of the tasks: 'none', or 'counts', the largest number of labelled
  # rows divided by that of the task.
  config.loss.task_weights = 'none'
  # Rows without a label of a task are 'left_out' of its loss, or count as 'zeros',
  # outputs and labels of 0, as in HSE-NN's joint model.
  config.loss.masked_rows = 'left_out'
  # 'ccc', 1 - CCC; 'half_ccc', (1 - CCC) / 2 with unbiased variances, as in
  # MT-EmotiEffNet; or 'mse'.
  config.loss.va_loss = 'ccc'
  # Denominator of the MSE: the number of 'labelled' frames, or of 'all' frames, as
  # in the published code of AIM3-RUC.
  config.loss.va_mean = 'labelled'
  # Class weights of the expressions: 'none'; 'counts', the count of the largest
  # class divided by that of the class; 'mean_counts', the mean count divided by that
  # of the class; or eight numbers in the order of labels.EXPRESSIONS.
  config.loss.class_weights = 'none'
  # Denominator of the weighted cross-entropy: the sum of 'weights' over the rows,
  # as in PyTorch, or the number of 'rows'. 'product' is the mean weight times the
  # unweighted mean, a mistake of HSE-NN's joint model (docs/temporal.md).
  config.loss.class_weight_mean = 'weights'
  config.loss.label_smoothing = 0.0  # of expressions, from 0 to 1
  # Logit adjustment (Menon et al., arXiv 2007.07314): in training, this factor
  # times the log frequency of each expression is added to its logit; 0 = off, 1 =
  # as in the paper.
  config.loss.prior_adjustment = 0.0
  # Weights of present and absent action units: 'none', or 'counts', which means
  # n / (2 n_present) and n / (2 n_absent) for each unit.
  config.loss.au_weights = 'none'
  # Loss of action units: 'bce' (binary cross-entropy), 'focal' (Lin et al., arXiv
  # 1708.02002) or 'asymmetric' (Ridnik et al., arXiv 2009.14119); docs/losses.md.
  config.loss.au_loss = 'bce'
  config.loss.focal_gamma = 2.0  # exponent of 'focal'; 0 = binary cross-entropy
  # Exponents of 'asymmetric' for present and absent units, and the probability that
  # is subtracted for absent units.
  config.loss.asymmetric_gamma_pos = 0.0
  config.loss.asymmetric_gamma_neg = 4.0
  config.loss.asymmetric_clip = 0.05
  # Weight of each valence and arousal by its smoothed density in the training labels
  # (Yang et al., arXiv 2102.09554): 'none', 'inverse' or 'sqrt_inverse'.
  config.loss.va_weights = 'none'
  # Standard deviation of the Gaussian that smooths the density; labels are in [-1, 1].
  config.loss.va_density_sigma = 0.1
  # File of `abaw-jax pseudo_label`: labels for training frames that have none; '' =
  # none. `loss.pseudo_weight` is the weight of their loss.
  config.data.pseudo_labels = ''
  config.loss.pseudo_weight = 1.0


def add_images(config: ml_collections.ConfigDict) -> None:
  """Adds the loss keys of experiments on labelled images."""
  # Parameter of the Beta distribution of the shares in mixed images; 0 = off.
  config.loss.mixup = 0.0
  # Mixed images: 'mixup' (Zhang et al., arXiv 1710.09412), 'cutmix' (Yun et al., arXiv
  # 1905.04899), or 'mixaugment', mixup and the images themselves (Psaroudakis and
  # Kollias, arXiv 2205.04442), at twice the cost.
  config.loss.mixing = 'mixup'
  # Factor of the reversed gradient of a linear head that tells people apart on the
  # embedding (Ganin and Lempitsky, arXiv 1505.07818; Ning et al., arXiv 2407.11243);
  # 0 = no head.
  config.loss.identity_adversarial = 0.0
