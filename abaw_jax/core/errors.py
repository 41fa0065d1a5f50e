"""The exception for wrong input, in contrast to a bug."""


class InputError(Exception):
  """Raised when a file, a config or a label is wrong.

  The message names the file (with the line number if there is one), the field
  and the fix. Commands print it as one line on stderr and exit with status 2.
  Any other exception is a bug and keeps its traceback.
  """
