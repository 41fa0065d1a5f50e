"""Preprocessing of images that public weights expect, by name."""

from collections.abc import Mapping
import types
from typing import Any

_IMAGENET = {'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225)}
_HALF = {'mean': (0.5,) * 3, 'std': (0.5,) * 3}
_CLIP = {
    'mean': (0.48145466, 0.4578275, 0.40821073),
    'std': (0.26862954, 0.26130258, 0.27577711),
}
_UNIT = {'mean': (0.0,) * 3, 'std': (1.0,) * 3}
_FER_PLUS = {'mean': (131.0754 / 255,) * 3, 'std': (47.858177 / 255,) * 3}

# `fit` and `filter` are those of `data/images.py`. Our 'crop' keeps the whole
# central square of a face: the published evaluation on ImageNet keeps 7/8 of it.
PRESETS: Mapping[str, Mapping[str, Any]] = types.MappingProxyType(
    {
        # facebookresearch/mae, DeiT, DINO, and most weights of timm.
        'imagenet': _IMAGENET | {'fit': 'crop', 'filter': 'bicubic'},
        # Other weights of timm: ViTs of Google, and EfficientNets `ap_in1k`.
        'half': _HALF | {'fit': 'crop', 'filter': 'bicubic'},
        # Also VideoMAE.
        'torchvision': _IMAGENET | {'fit': 'crop', 'filter': 'bilinear'},
        # HSE-NN; EmotiEffLib resizes with Pillow.
        'emotiefflib': _IMAGENET | {'fit': 'squash', 'filter': 'bilinear'},
        'emotiefflib_mbf': _HALF | {'fit': 'squash', 'filter': 'bilinear'},
        # MobileViTs of Apple: values from 0 to 1.
        'cvnets': _UNIT | {'fit': 'crop', 'filter': 'bicubic'},
        'ddamfn': _IMAGENET | {'fit': 'squash', 'filter': 'bilinear'},
        # Hugging Face's processor for the ViTs of Google.
        'hf_vit': _HALF | {'fit': 'squash', 'filter': 'bilinear'},
        # Hugging Face's processors for DINOv3, CLIP and SigLIP.
        'dinov3': _IMAGENET | {'fit': 'squash', 'filter': 'bilinear'},
        'clip': _CLIP | {'fit': 'crop', 'filter': 'bicubic'},
        'siglip': _HALF | {'fit': 'squash', 'filter': 'bicubic'},
        # Crops of faces, resized with OpenCV.
        'marlin': _UNIT | {'fit': 'squash', 'filter': 'opencv_linear'},
        # arcface_torch reads aligned faces of the right size.
        'insightface': _HALF | {'fit': 'crop', 'filter': 'opencv'},
        # AIM3's extractor of features from grey faces.
        'denseface': _FER_PLUS | {'fit': 'squash', 'filter': 'opencv_linear'},
    }
)
