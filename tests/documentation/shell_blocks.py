"""Reads code blocks of Markdown pages, and the shell commands in them.

A comment before a block marks it for `make docs-walk`, which runs it. Such a comment
is not visible on a page:

  <!-- walk -->
  <!-- walk: SHELL LINES -->   these lines run first; a reader does not see them

All marked blocks of a page run in one bash, in one empty folder.
"""

from collections.abc import Iterator
import dataclasses
import pathlib
import re
import shlex
import textwrap

ROOT = pathlib.Path(__file__).parents[2]
SHELLS = ('', 'sh', 'bash', 'shell')
_FENCE = re.compile(r' *(`{3,}|~{3,}) *([\w-]*)')
_WALK = re.compile(r'<!--\s*walk(?::(.*?))?\s*-->', re.DOTALL)
# Words of the shell before a command, which are no part of it.
_LEADING = ('do', 'then', 'else', 'if', 'while', '{', '}', '!', 'time')


@dataclasses.dataclass(frozen=True)
class Block:
  """A code block.

  Attributes:
    line: number of its first line in the page, from 1.
    text: without the indentation.
    walk: None if no comment marks the block, else the shell lines to run before.
  """

  line: int
  text: str
  walk: str | None


@dataclasses.dataclass(frozen=True)
class Command:
  """A simple command with its variables replaced; `line` is counted from 1."""

  line: int
  words: tuple[str, ...]


def pages() -> list[pathlib.Path]:
  """Returns the pages of the repository."""
  return [
      *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md')),
      *sorted(ROOT.glob('docs/**/*.md')),
      *sorted(ROOT.glob('data_builders/**/README.md')),
  ]


def blocks(text: str) -> list[Block]:
  """Returns the shell blocks of a page, fenced or indented, from top to bottom.

  A block is indented by four spaces or more, after an empty line, a heading or a
  comment. So this also returns indented paragraphs of lists.
  """
  lines = text.splitlines()
  found = []
  walk: str | None = None
  i = 0
  while i < len(lines):
    line = lines[i]
    if fence := _FENCE.match(line):
      end = _end_of_fence(lines, i, fence[1])
      if fence[2] in SHELLS:
        found.append(_block(lines, i + 1, end, walk))
      walk, i = None, end + 1
    elif line.startswith('    ') and line.strip() and _may_start(lines, i):
      end = _end_of_indentation(lines, i)
      found.append(_block(lines, i, end, walk))
      walk, i = None, end
    elif line.lstrip().startswith('<!--'):
      end = next(n for n in range(i, len(lines)) if '-->' in lines[n])
      if mark := _WALK.search('\n'.join(lines[i : end + 1])):
        walk = textwrap.dedent(mark[1] or '').strip()
      i = end + 1
    else:
      walk = None if line.strip() else walk
      i += 1
  return found


def spans(text: str) -> list[Block]:
  """Returns inline code of a page, outside of its code blocks."""
  lines = text.splitlines()
  for block in blocks(text):
    for n in range(block.line - 1, block.line - 1 + block.text.count('\n')):
      lines[n] = ''
  prose = '\n'.join('' if _FENCE.match(line) else line for line in lines)
  return [
      Block(prose.count('\n', 0, m.start()) + 1, ' '.join(m[1].split()), None)
      for m in re.finditer(r'`([^`]+)`', prose)
  ]


def commands(
    text: str, variables: dict[str, str] | None = None
) -> list[Command]:
  """Returns the simple commands of a shell text.

  Args:
    text: lines of bash.
    variables: values of variables; assignments of the text are added. A loop
      sets its variable to the first value.
  """
  variables = {} if variables is None else variables
  found = []
  for line, words in _simple_commands(text):
    while words and words[0] in _LEADING:
      words = words[1:]
    if words and words[0] == 'for' and len(words) > 3:
      variables[words[1]] = words[3]
      continue
    while words and (match := re.fullmatch(r'(?s)(\w+)=(.*)', words[0])):
      variables[match[1]] = _expanded(match[2], variables)
      words = words[1:]
    # A variable may have several words, as the options of a command.
    full = [
        part
        for word in words
        for part in (
            _expanded(word, variables).split() if '$' in word else [word]
        )
    ]
    if full:
      found.append(Command(line, tuple(full)))
  return found


def _simple_commands(text: str) -> Iterator[tuple[int, list[str]]]:
  """Yields (line, words) of each simple command."""
  for line, joined in _joined_lines(text):
    lexer = shlex.shlex(joined, posix=True, punctuation_chars=';&|()<>')
    lexer.commenters = ''
    lexer.wordchars += '$@[]{}%^!,:+#'
    words: list[str] = []
    for token in [*lexer, ';']:
      if not set(token) <= set(';&|()'):
        words.append(token)
      elif words:
        yield line, words
        words = []


def _joined_lines(text: str) -> Iterator[tuple[int, str]]:
  """Yields (number, line) where a line has all of its quotes and continuations."""
  joined, start = '', 1
  for number, line in enumerate(text.splitlines(), 1):
    line = re.sub(r'(^|\s)#.*$', r'\1', line)
    start = start if joined else number
    joined += line
    if joined.endswith('\\'):
      joined = joined[:-1]
    elif joined.count('"') % 2 or joined.count("'") % 2:
      joined += '\n'
    elif joined.strip():
      yield start, joined
      joined = ''
  if joined.strip():
    raise ValueError(f'line {start}: a quote or a line is not complete')


def _expanded(word: str, variables: dict[str, str]) -> str:
  """Returns a word with its variables replaced; unknown ones become their name."""
  word = re.sub(r'\$\{\w+\[@\]/#/(.*?)\}', r'\1FILE', word)
  return re.sub(
      r'\$\{?(\w+)\}?', lambda name: variables.get(name[1], name[1]), word
  )


def _block(lines: list[str], start: int, end: int, walk: str | None) -> Block:
  text = textwrap.dedent('\n'.join(lines[start:end])).rstrip('\n') + '\n'
  return Block(start + 1, text, walk)


def _end_of_fence(lines: list[str], start: int, fence: str) -> int:
  """Returns the index of the line that closes a fence."""
  return next(
      n for n in range(start + 1, len(lines)) if lines[n].strip() == fence
  )


def _end_of_indentation(lines: list[str], start: int) -> int:
  """Returns the index after the last line of an indented block."""
  end = start + 1
  for n in range(start + 1, len(lines)):
    if lines[n].strip() and not lines[n].startswith('    '):
      break
    end = n + 1 if lines[n].strip() else end
  return end


def _may_start(lines: list[str], i: int) -> bool:
  """Returns whether an indented block may start at a line."""
  before = lines[i - 1].strip() if i else ''
  return not before or before.startswith('#') or before.endswith('-->')
