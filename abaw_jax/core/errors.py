"""The one exception that means "the input is wrong", as opposed to the code."""


class InputError(Exception):
  """Raised when a file, a config or a label is wrong.

  The message names the file (with its line where there is one), the field and
  the fix. Commands print it as one line on stderr and exit with status 2; every
  other exception is a defect of ours and keeps its traceback.
  """
