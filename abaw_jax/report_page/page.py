"""The page: one HTML file with plotly, its style and script, and no network."""

import base64
import hashlib
import html
from importlib import resources
import pathlib
import re

import abaw_jax
from abaw_jax.core import errors, files
from abaw_jax.report_page import (
    clip_figures,
    inputs,
    parts,
    pictures,
    run_figures,
    score_figures,
    split_figures,
)

MAX_BYTES = 10_000_000
_VIDEOS = 6  # timelines of all predictions together


def write(out: pathlib.Path, found: inputs.Inputs, title: str) -> int:
  """Writes the page and returns its size in bytes.

  Raises:
    InputError: plotly is not installed, or the page would be too large.
  """
  plotly = _plotly()
  videos = max(1, _VIDEOS // max(len(found.predictions), 1))
  sections = [
      run_figures.section(found.runs),
      score_figures.section(found.predictions),
      split_figures.section(found.predictions, videos),
      pictures.section(found),
      *clip_figures.sections(found.clips, out),
  ]
  if found.notes:
    notes = [parts.Note(text) for text in found.notes]
    sections.append(parts.Section('Notes', notes))
  content = render([s for s in sections if s.parts], title, plotly).encode()
  if len(content) > MAX_BYTES:
    raise errors.InputError(
        f'{out}: the page would have {len(content) / 1e6:.1f} MB, more than '
        f'{MAX_BYTES / 1e6:.0f} MB; give fewer paths'
    )
  files.write(out, content)
  return len(content)


def render(sections: list[parts.Section], title: str, plotly: str) -> str:
  """Returns the page as HTML.

  Args:
    sections: of the page, in order.
    title: of the page.
    plotly: source of plotly.js.
  """
  folder = resources.files('abaw_jax.report_page')
  script = (folder / 'page.js').read_text('utf-8')
  # Only these two scripts may run. plotly sets styles of elements.
  allowed = ' '.join(f"'sha256-{_digest(text)}'" for text in (plotly, script))
  policy = (
      f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
      "img-src data: blob:; media-src 'self' data: blob: file:; "
      "base-uri 'none'; form-action 'none'"
  )
  names = [f'section{i}' for i in range(len(sections))]
  links = ''.join(
      f'<li><a href="#{name}">{html.escape(section.title)}</a></li>'
      for name, section in zip(names, sections, strict=True)
  )
  body = ''.join(
      section.html(name) for name, section in zip(names, sections, strict=True)
  )
  text = (folder / 'page.html').read_text('utf-8')
  for mark, value in {
      '{{policy}}': policy,
      '{{version}}': abaw_jax.__version__,
      '{{style}}': (folder / 'page.css').read_text('utf-8'),
      '{{title}}': html.escape(title).replace('{', '&#123;'),
      '{{links}}': links.replace('{', '&#123;'),
  }.items():
    text = text.replace(mark, value)
  # The names and scripts in these parts may have any text, also a mark.
  head, middle, end = re.split('{{body}}|{{scripts}}', text)
  scripts = f'<script>{plotly}</script>\n<script>{script}</script>'
  return f'{head}{body}{middle}{scripts}{end}'


def _digest(text: str) -> str:
  return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _plotly() -> str:
  try:
    folder = resources.files('plotly')
  except ModuleNotFoundError as e:
    raise errors.InputError(
        "report needs plotly; pip install 'abaw_jax[report]'"
    ) from e
  return (folder / 'package_data' / 'plotly.min.js').read_text('utf-8')
