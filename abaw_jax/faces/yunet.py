"""YuNet, the detector of OpenCV's model zoo."""


class YuNet:
  """Runs an ONNX file of YuNet."""
