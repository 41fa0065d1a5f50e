"""A clip of one real face, which moves as we say: scikit-image's `astronaut`.

The picture is of Eileen Collins, by NASA, in the public domain.
"""

import cv2
import numpy as np
from skimage import data

# Middle of the face in the picture.
CENTRE = np.array([224.0, 120.0])


def picture():
  """Returns the picture, [512, 512, 3]."""
  return data.astronaut()


def motion(count, *, width=320, height=240, scale=0.8, roll=30.0):
  """Returns the transforms [2, 3] from the picture to each frame of a clip."""
  moves = []
  for t in np.linspace(0, 1, count):
    angle = np.radians(roll) * np.sin(2 * np.pi * t)
    size = scale * np.exp(0.3 * np.sin(2 * np.pi * t + 1))
    turn = size * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    place = np.array([width, height]) * (
        0.5 + 0.15 * np.cos(2 * np.pi * t), 0.5 + 0.05 * np.sin(4 * np.pi * t)
    )  # fmt: skip
    moves.append(np.column_stack([turn, place - turn @ CENTRE]))
  return moves


def render(moves, *, width=320, height=240):
  """Returns the frames of a clip."""
  return [
      cv2.warpAffine(
          picture(), move, (width, height),
          flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT,
      )
      for move in moves
  ]  # fmt: skip


def apply(move, points):
  """Returns points after a transform [2, 3]."""
  return points @ move[:, :2].T + move[:, 2]


def alignment_error(found, truth, similarity, template):
  """Returns how far the template is from its place, in eye distances.

  Args:
    found: landmarks [5, 2].
    truth: true landmarks [5, 2].
    similarity: function from two sets of points to a transform.
    template: points [5, 2] of the alignment.
  """
  places = [apply(similarity(template, x), template) for x in (found, truth)]
  distance = np.linalg.norm(places[0] - places[1], axis=1).mean()
  return distance / np.linalg.norm(truth[1] - truth[0])
