"""Every command in the docs exists, with all of its flags and config keys."""

import ast
from collections.abc import Iterator
import functools
import json
import pathlib
import re
import subprocess
import sys
import tomllib

from tests.documentation import shell_blocks

ROOT = shell_blocks.ROOT
HOMES = ('abaw_jax', 'benchmarks', 'configs', 'data_builders')


def texts() -> Iterator[tuple[pathlib.Path, int, str]]:
  """Yields (file, line, text) of each page and of each docstring with a command."""
  for page in shell_blocks.pages():
    yield page, 1, page.read_text()
  for home in HOMES:
    for file in sorted((ROOT / home).rglob('*.py')):
      source = file.read_text()
      if not re.search('abaw-jax |python -m ', source):
        continue
      for node in ast.walk(ast.parse(source)):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        if isinstance(node, kinds) and (doc := ast.get_docstring(node)):
          # A block has two spaces there, and four on a page.
          yield file, node.body[0].lineno, re.sub('(?m)^  ', '    ', doc)


@functools.cache
def commands() -> dict[str, tuple[str, ...]]:
  """Returns the words of each command of the docs, by 'FILE:LINE: COMMAND'.

  Inline code may be a part of a command, so it ends with `...`.
  """
  found = {}
  for file, first, text in texts():
    variables: dict[str, str] = {}
    for block in [*shell_blocks.blocks(text), *shell_blocks.spans(text)]:
      if not re.search(r'abaw-jax|--config=\w|python -m|make |\[', block.text):
        continue
      shell = block.text
      if 'data_builders' not in file.parts:  # where --config is that of `build`
        shell = re.sub('^--config=', 'abaw-jax train --config=', shell)
      for one in shell_blocks.commands(shell, variables):
        line = first + block.line + one.line - 2
        place = f'{file.relative_to(ROOT)}:{line}: {" ".join(one.words)}'
        more = () if block.text.endswith('\n') else ('...',)
        found[place] = (*one.words, *more)
  return found


def arguments(name: str) -> dict[str, tuple[str, ...]]:
  """Returns the words after a name, of each command that has them."""
  found = {}
  for place, words in commands().items():
    starts = [n for n, word in enumerate(words[:-1]) if word.endswith(name)]
    if starts:
      found[place] = words[starts[0] + 1 :]
  return found


def test_every_command_of_abaw_jax_parses():
  known = {
      place: words
      for place, words in arguments('abaw-jax').items()
      if words[0] not in ('COMMAND', '<', '...')
  }
  done = subprocess.run(
      [sys.executable, '-m', 'tests.documentation.parsed_commands'],
      cwd=ROOT,
      input=json.dumps([*known.values()]),
      stdout=subprocess.PIPE,
      text=True,
      check=True,
  )
  errors = dict(zip(known, json.loads(done.stdout), strict=True))
  assert {place: error for place, error in errors.items() if error} == {}
  assert len(errors) > 300


def module_flags(module: str) -> set[str]:
  """Returns the flags that a module of benchmarks defines, without an import."""
  path = ROOT / module.replace('.', '/')
  file = path / '__main__.py' if path.is_dir() else path.with_suffix('.py')
  found = set(re.findall(r"DEFINE_\w+\(\s*'(\w+)'", file.read_text()))
  return found | set(re.findall(r'\.define_(\w+)\(', file.read_text()))


def test_every_module_in_a_command_exists_with_its_flags():
  unknown = []
  for place, (module, *words) in arguments('-m').items():
    if module == '...' or module.split('.')[0] not in HOMES:
      continue
    path = ROOT / module.replace('.', '/')
    known = path.is_dir() or path.with_suffix('.py').is_file()
    # The test above parses the commands of abaw_jax.
    if known and not module.startswith('abaw_jax'):
      defined = module_flags(module)
      defined |= {f'no{flag}' for flag in defined}
      given = re.findall(r'(?:^| )--([a-z]\w*)', ' '.join(words))
      known = set(given) <= defined
    if not known:
      unknown.append(place)
  assert unknown == []


def test_every_target_of_make_exists():
  rules = re.findall(r'(?m)^([\w-]+):', (ROOT / 'Makefile').read_text())
  unknown = [
      place
      for place, words in arguments('make').items()
      for word in words
      if re.fullmatch('[a-z-]+', word) and word not in rules
  ]
  assert unknown == []


def test_every_extra_in_an_installation_exists():
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
  named = {
      (place, extra)
      for place, words in commands().items()
      for match in re.finditer(r'abaw_jax\[([\w,]+)\]', ' '.join(words))
      for extra in match[1].split(',')
  }
  extras = set(project['optional-dependencies'])
  assert {both for both in named if both[1] not in extras} == set()
  assert {extra for _, extra in named} >= {'video', 'cuda', 'tpu'}


def test_a_marked_block_needs_no_checkout_and_no_installation():
  marked = [
      (page.name, block)
      for page in shell_blocks.pages()
      for block in shell_blocks.blocks(page.read_text())
      if block.walk is not None
  ]
  programs = {
      (page, command.words[0])
      for page, block in marked
      for command in shell_blocks.commands(block.text)
  }
  found = {program for _, program in programs}
  assert found.isdisjoint({'make', 'git', 'pip', 'gcloud', 'docker'}), programs
  assert 'abaw-jax' in found
