"""Decodes clips frame by frame with true timestamps, and writes videos."""

from abaw_jax.video.clips import Clip, find_clips, open_clip, Source
from abaw_jax.video.frames import Frame
from abaw_jax.video.webm import WebmWriter

__all__ = ['Clip', 'Frame', 'Source', 'WebmWriter', 'find_clips', 'open_clip']
