"""Detectors by name."""

from abaw_jax.core import errors, files
from abaw_jax.faces import centerface, face_tables, scrfd, whole_image, yunet
from abaw_jax.faces import face as face_lib

# Detectors that read a file of the user.
_WITH_FILE = {
    'yunet': yunet.YuNet,
    'scrfd': scrfd.Scrfd,
    'csv': face_tables.FaceTable,
}
LONG_SIDE = 640
MIN_CONFIDENCE = 0.5
_FORMS = 'centerface, yunet:FILE, scrfd:FILE, csv:FILE, none'


def make_detector(
    spec: str = 'centerface',
    *,
    long_side: int = LONG_SIDE,
    min_confidence: float = MIN_CONFIDENCE,
) -> face_lib.Detector:
  """Returns a detector for one thread.

  Args:
    spec: 'centerface'; 'yunet:FILE' or 'scrfd:FILE' with an ONNX file of the user;
      'csv:FILE' with boxes of OpenFace, py-feat or InsightFace; 'none' if each frame
      is an aligned face.
    long_side: larger frames are reduced to this size for the network. Half the size
      needs a quarter of the time and misses faces below about 20 pixels of it.
    min_confidence: weaker faces are dropped.

  Raises:
    InputError: there is no such detector, a value is out of range, or a file is
      missing or wrong.
  """
  if not 32 <= long_side <= 4096:
    raise errors.InputError(
        f'long_side={long_side}: give a number from 32 to 4096'
    )
  if not 0 < min_confidence < 1:
    raise errors.InputError(
        f'min_confidence={min_confidence}: give a number between 0 and 1'
    )
  if spec == 'none':
    return whole_image.detect
  if spec == 'centerface':
    return centerface.CenterFace(long_side, min_confidence)
  name, colon, file = spec.partition(':')
  if name not in _WITH_FILE or not colon or not file:
    raise errors.InputError(f'detector {spec!r}: choose one of {_FORMS}')
  path = files.local_path(file, 'detector')
  if not path.is_file():
    raise errors.InputError(f'detector {spec}: there is no file {file}')
  return _WITH_FILE[name](path, long_side, min_confidence)
