"""SCRFD, the detector of InsightFace."""


class Scrfd:
  """Runs an ONNX file of SCRFD."""
