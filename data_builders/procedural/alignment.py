"""The alignment of the rendered faces: where a crop shows the landmarks.

A model that was trained on rendered crops needs faces in the same place. The
crops of a corpus show more of the chin than ArcFace's template: the eyes are
8.5 pixels higher.
"""

import pathlib

from abaw_jax.core import files
from abaw_jax.data_builders.procedural.rendering import canvas

FILE = 'alignment.json'
# Mean of neutral frontal faces in pixels of a crop: eyes, tip of the nose, corners
# of the mouth.
TEMPLATES = {
    'photo': (
        (37.9, 43.1),
        (74.1, 43.1),
        (56.0, 61.6),
        (41.1, 82.3),
        (70.9, 82.3),
    ),
    'synthetic': (
        (36.6, 41.9),
        (75.4, 41.9),
        (56.0, 61.7),
        (40.0, 83.9),
        (72.0, 83.9),
    ),
}


def write(out: pathlib.Path, domain: str = 'photo') -> None:
  """Writes the alignment of the faces of a domain to a folder.

  Args:
    out: folder of a corpus.
    domain: one of scene.DOMAINS.
  """
  card = {
      'method': 'five_points',
      'size': canvas.CROP,
      'template': TEMPLATES[domain],
  }
  files.write_json(out / FILE, card)
