"""Small clips, encoded by PyAV and OpenCV."""

import fractions

import av
import cv2
import numpy as np

COLOURS = np.array(
    [[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]]
)


def quarters(width=64, height=48, level=0):
  """Returns a picture with another colour in each quarter, from the top left."""
  image = np.repeat(
      np.repeat(COLOURS.reshape(2, 2, 3), height // 2, 0), width // 2, 1
  )
  return np.uint8(np.clip(image + level, 0, 255))


def write(path, images, times=None, *, codec='mpeg4', rotation=None, gop=12):
  """Writes a clip with a timestamp in seconds for each image."""
  times = np.arange(len(images)) / 25 if times is None else times
  height, width = images[0].shape[:2]
  with av.open(str(path), 'w') as container:
    stream = container.add_stream(codec, rate=25)
    stream.width, stream.height = width, height
    stream.pix_fmt = 'rgb8' if codec == 'gif' else 'yuv420p'
    stream.codec_context.gop_size = gop
    base = fractions.Fraction(1, 100 if codec == 'gif' else 1000)
    if codec == 'mpeg4':
      stream.bit_rate = 2_000_000
    stream.codec_context.time_base = base
    if rotation is not None:
      stream.set_display_rotation(rotation)
    for image, time in zip(images, times, strict=True):
      frame = av.VideoFrame.from_ndarray(image, format='rgb24')
      frame.pts, frame.time_base = round(time / base), base
      container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return path


def write_sound(path, *, cover=False):
  """Writes half a second of silence, with a picture of the record on request."""
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('aac', rate=16_000)
    frame = av.AudioFrame(format='fltp', layout='mono', samples=8_000)
    frame.sample_rate = 16_000
    for plane in frame.planes:
      plane.update(bytes(plane.buffer_size))
    container.mux(stream.encode(frame))
    container.mux(stream.encode())
  return path


def noise(count, width=64, height=48, seed=0):
  """Returns pictures that differ everywhere, so that packets are not tiny."""
  rng = np.random.default_rng(seed)
  small = rng.integers(0, 255, (count, height // 8, width // 8, 3), np.uint8)
  return [
      cv2.resize(x, (width, height), interpolation=cv2.INTER_NEAREST)
      for x in small
  ]
