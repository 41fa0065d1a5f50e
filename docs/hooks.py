"""Hooks of MkDocs: pages from outside of docs/, and pages made from the code."""

import ast
import html as html_text
import json
import pathlib
import posixpath
import re
import subprocess
import sys

from mkdocs import exceptions
from mkdocs.structure import files as site_files

ROOT = pathlib.Path(__file__).parents[1]
# Files of the repository that are pages of the site, outside of docs/.
PAGES = {
    'README.md': 'index.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    'configs': 'reference/configs.md',
} | {
    file.relative_to(ROOT).as_posix(): f'datasets/{file.parent.name}.md'
    for file in ROOT.glob('data_builders/*/README.md')
}
NOTEBOOKS = sorted(ROOT.glob('docs/notebooks/*.ipynb'))
# Files that a browser would load from the network. Links do not load anything.
_LOADED = re.compile(r'<(?!a )[^>]* (?:src|href|data)="?(?:https?:)?//[^>]*>')
# A link in Markdown, or the source of a picture.
_LINK = re.compile(r'(\]\(|src=")([^)"\s]+)')


def on_files(files, config):
  """Adds the pages that are not in docs/."""
  pages = {
      page: (ROOT / file).read_text()
      for file, page in PAGES.items()
      if file.endswith('.md')
  }
  for file in NOTEBOOKS:
    pages[f'notebooks/{file.stem}.md'] = _notebook(file)
  pages['index.md'] = '---\nhide: [navigation]\n---\n\n' + pages['index.md']
  pages['reference/commands.md'] = _commands()
  pages['reference/configs.md'] = _configs()
  for page, content in pages.items():
    files.append(site_files.File.generated(config, page, content=content))
  return files


def on_page_markdown(markdown, page, config, files):
  """Rewrites links between files of the repository to links between pages."""
  del config
  here = page.file.src_uri
  sources = {site: file for file, site in PAGES.items()}
  source = sources.get(here, f'docs/{here}')
  folder = posixpath.dirname(source)

  def rewritten(match: re.Match) -> str:
    path, hash_sign, anchor = match[2].partition('#')
    if not path or re.match(r'[a-z]+:', path):
      return match[0]
    file = posixpath.normpath(posixpath.join(folder, path))
    if (ROOT / file / 'README.md').is_file():
      file += '/README.md'
    target = PAGES.get(file, file.removeprefix('docs/'))
    if files.get_file_from_path(target) is None:
      raise exceptions.PluginError(
          f'{source}: {match[2]} is no page of the site; write it as code, or '
          'add it to PAGES of docs/hooks.py'
      )
    path = posixpath.relpath(target, posixpath.dirname(here) or '.')
    return f'{match[1]}{path}{hash_sign}{anchor}'

  return _LINK.sub(rewritten, _widened_lists(markdown))


def on_page_content(html, page, config, files):
  """Marks short inline code, which is not broken after a hyphen."""
  del page, config, files
  return re.sub(
      r'<code>([^<\s]{1,24})</code>', r'<code class="short">\1</code>', html
  )


def on_post_page(output, page, config):
  """Fails if a built page loads something from the network."""
  del config
  if match := _LOADED.search(output):
    raise exceptions.PluginError(f'{page.file.src_uri}: loads {match[0]}')
  return output


def _widened_lists(markdown: str) -> str:
  """Returns a page whose list items are indented by four spaces.

  Python-Markdown needs that. The repository's pages align text with the text of the
  item, by two spaces after `- ` and by three after `1. `.
  """
  lines, width = [], 0
  in_fence = False
  # A comment before a table would make it text.
  for line in re.sub(r'(?s) *<!--.*?-->\n?', '', markdown).splitlines():
    indent = len(line) - len(line.lstrip())
    if line.startswith('```'):
      in_fence = not in_fence
    if item := re.match(r'(-|\d+\.) ', line):
      width = len(item[0])
    elif line.strip() and indent < width:
      width = 0
    elif width and indent and not in_fence:
      line = ' ' * (4 - width) + line
    lines.append(line)
  return '\n'.join(lines) + '\n'


def _notebook(file: pathlib.Path) -> str:
  """Returns the cells of a notebook as a page, without outputs."""
  parts = []
  for cell in json.loads(file.read_text())['cells']:
    text = ''.join(cell['source'])
    if cell['cell_type'] == 'code':
      language = 'bash' if text.startswith('%%bash') else 'python'
      text = f'```{language}\n{text}\n```'
    parts.append(text)
  parts.append(f'Run it yourself: [{file.name}]({file.name}).')
  return '\n\n'.join(parts)


def _commands() -> str:
  """Returns the page with --help of every command."""
  sys.path.insert(0, str(ROOT))
  from abaw_jax import __main__ as command_line

  parts = [
      '# Commands\n\nThe text of `abaw-jax COMMAND --help`. Every command that has '
      '`--config` also takes\n`--config.KEY=VALUE` for each key of its '
      '[config](configs.md).\n'
  ]
  for name in command_line.COMMANDS:
    done = subprocess.run(
        [sys.executable, '-m', 'abaw_jax', name, '--help'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    # Without the path of the module, and the note about flags of absl.
    text = re.sub(r'(?m)^/.*:\n|^Try --helpfull.*\n', '', done.stdout).strip()
    parts.append(f'## {name}\n\n```text\n{text}\n```\n')
  return '\n'.join(parts)


def _configs() -> str:
  """Returns the page with the docstring and the keys of every config."""
  parts = [
      '# Configs\n\n`--config=NAME` or `--config=NAME:VARIANT`; the first variant '
      'is the default. `base` has the\nkeys that all experiments share, and the '
      'range of every number.\n'
  ]
  for file in sorted((ROOT / 'configs').glob('[!_]*.py')):
    source = file.read_text()
    tree = ast.parse(source)
    # Blocks have two spaces in a docstring, and four in Markdown.
    doc = re.sub('(?m)^  ', '    ', ast.get_docstring(tree))
    doc = html_text.escape(doc, quote=False)
    parts.append(f'## {file.stem}\n\n{doc}\n')
    parts.append(
        f'??? note "configs/{file.name}"\n\n    ```python\n'
        + ''.join(f'    {line}'.rstrip() + '\n' for line in source.splitlines())
        + '    ```\n'
    )
  return '\n'.join(parts)
