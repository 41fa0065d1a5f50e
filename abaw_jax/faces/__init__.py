"""Finds faces in frames, tracks them, and aligns them as a model expects."""

from abaw_jax.faces.alignment import Alignment
from abaw_jax.faces.detectors import make_detector
from abaw_jax.faces.face import Detector, Face, TrackedFace
from abaw_jax.faces.tracking import FaceTracker

__all__ = [
    'Alignment',
    'Detector',
    'Face',
    'FaceTracker',
    'TrackedFace',
    'make_detector',
]
