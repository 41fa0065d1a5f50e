"""The alignment of the rendered faces: where a crop shows the landmarks.

A model that was trained on rendered crops needs faces in the same place. The
crops of a corpus show more of the chin than ArcFace's template: the eyes are
8.5 pixels higher.
"""

import pathlib

from abaw_jax.core import files
from abaw_jax.data_builders.procedural.rendering import canvas

FILE = 'alignment.json'
# Eyes, tip of the nose and corners of the mouth in pixels of a crop; 0 is the
# centre of the first pixel. Means of the frontal faces of a corpus.
TEMPLATES = {
    'photo': (
        (37.9, 43.1),
        (73.8, 43.1),
        (55.9, 61.2),
        (40.4, 81.6),
        (71.3, 81.6),
    ),
    'synthetic': (
        (36.6, 41.9),
        (75.2, 41.9),
        (55.9, 61.5),
        (39.2, 83.2),
        (72.6, 83.2),
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
