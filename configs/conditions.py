"""Config keys that are read only if other keys have certain values."""

# Condition of keys: `key=values`, or `key`, which means that it is not off, that is 0,
# False, '' or 'none'. A condition on a key that a config does not have is true.
_KEYS = {
    'optim.name=adamw,lion,muon': 'optim.b1 optim.b2',
    'optim.name=adamw,muon': 'optim.eps',
    'optim.schedule=cosine,linear_with_warmup': 'optim.warmup_epochs',
    'optim.schedule=linear,step': 'optim.hold_epochs',
    'optim.schedule=linear_with_warmup': 'optim.warmup_from_zero',
    'optim.schedule=cosine': 'optim.end_lr',
    'optim.clip_norm': 'optim.clip_by',
    'optim.sam_rho': 'optim.sam_faithful',
    'optim.freeze': 'optim.move_frozen_statistics',
    'profile_steps': 'profile_start',
    'data.num_folds': 'data.fold data.fold_seed',
    'data.pseudo_labels': 'loss.pseudo_weight',
    'data.norm': 'data.norm_features',
    'data.batching=windows': 'data.stride data.last_window',
    'data.batching=stateful_videos': 'data.buckets',
    'augment.rand_ops': 'augment.rand_magnitude',
    'augment.mask': 'augment.mask_regions',
    'loss.mixup': 'loss.mixing',
    'loss.au_loss=focal': 'loss.focal_gamma',
    'loss.au_loss=asymmetric': (
        'loss.asymmetric_gamma_pos loss.asymmetric_gamma_neg loss.asymmetric_clip'
    ),
    'loss.va_weights': 'loss.va_density_sigma',
    'loss.va_loss=mse': 'loss.va_mean',
    'loss.class_weights': 'loss.class_weight_mean',
    'loss.weighting=normalized': 'loss.least_loss',
    'loss.name=arcface,cosface': 'loss.margin loss.easy_margin',
    'loss.perceptual': 'loss.perceptual_weight',
    'model.discriminator_width': 'loss.adversarial optim.discriminator_rate',
    'model.lora_rank': 'model.lora_alpha model.lora_targets',
    'model.network=rrdb': 'model.growth model.blocks',
    'model.network=compact': 'model.convs',
    'model.encoder=transformer,fft': 'model.num_heads',
    'model.encoder=tcn': 'model.kernel_size',
    'model.encoder=bilstm': 'model.carry_backward',
    'model.positions=sine': 'model.first_position',
    'model.positions=learned': 'model.max_length',
    'model.private_layers': 'model.private_head_dim model.second_positions',
    'model.feedback': 'model.feed_source model.feed_target',
    'model.feedback=label': (
        'model.feed_dim model.feed_truth_rate model.feed_missing'
    ),
    'model.feed_truth_rate': 'model.feed_truth_decay',
}
CONDITIONS = {key: text for text, keys in _KEYS.items() for key in keys.split()}
