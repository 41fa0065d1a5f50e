"""The alignment of the rendered faces: where a crop shows the landmarks.

A model that was trained on rendered crops needs faces in the same place. The
crops of a corpus show more of the chin than ArcFace's template: the eyes are
8 pixels higher.
"""

import pathlib

from abaw_jax.core import files
from abaw_jax.data_builders.procedural.rendering import canvas

FILE = 'alignment.json'
# Eyes, tip of the nose and corners of the mouth as they are drawn, in pixels of a
# crop; 0 is the centre of the first pixel. Means of the frontal faces of a corpus.
DRAWN = {
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
# The same as CenterFace finds them: its mouths of drawn faces are higher and narrower.
# Models get faces from a detector, so this is the template for them.
FOUND = {
    'photo': (
        (38.9, 44.2),
        (73.0, 44.2),
        (56.1, 62.5),
        (42.1, 79.6),
        (69.7, 79.6),
    ),
    'synthetic': (
        (37.7, 43.1),
        (74.2, 43.1),
        (56.1, 62.7),
        (41.1, 81.0),
        (70.7, 81.0),
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
      'template': FOUND[domain],
  }
  files.write_json(out / FILE, card)
