"""Faces that another program has found, in a CSV file."""


class FaceTable:
  """Reads the faces of a frame from a table."""
