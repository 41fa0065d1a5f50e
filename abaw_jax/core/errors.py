"""The exception for wrong input, in contrast to a bug."""

from collections.abc import Mapping, Sequence


class InputError(Exception):
  """Raised when a file, a config or a label is wrong.

  The message names the file (with the line number if there is one), the field
  and the fix. Commands print it as one line on stderr and exit with status 2.
  Any other exception is a bug and keeps its traceback.
  """


def few(items: Sequence[str], separator: str = ', ', limit: int = 5) -> str:
  """Returns the first items, and how many follow, so that a message stays short."""
  text = separator.join(items[:limit])
  return text + (f' and {len(items) - limit} more' if items[limit:] else '')


def shape_differences(
    have: Mapping[str, tuple[int, ...]], want: Mapping[str, tuple[int, ...]]
) -> str:
  """Returns the first missing, extra and misshapen names; '' if there are none.

  Args:
    have: shapes of a file, by name.
    want: shapes that the model needs, by name.
  """
  kinds = (
      [f'missing {name}' for name in sorted(want.keys() - have.keys())],
      [f'extra {name}' for name in sorted(have.keys() - want.keys())],
      [
          f'{name} is {have[name]}, the model wants {want[name]}'
          for name in sorted(have.keys() & want.keys())
          if have[name] != want[name]
      ],
  )
  return '; '.join(few(kind, '; ') for kind in kinds if kind)
