"""Parts of the page as HTML: figures, tables, pictures, videos and notes."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import html
import json
from typing import Any


@dataclasses.dataclass(frozen=True)
class Figure:
  """A figure that plotly draws.

  Attributes:
    title: short; unique in its section.
    caption: one or more sentences with the main numbers, for all readers.
    traces: of plotly.
    layout: of plotly.
    height: in pixels.
    wide: whether it takes the full width of the page.
    video: id of the video that it follows; '' = none.
    numbers: rows of a table with the same numbers, the first one is its head.
    first: whether it begins a new line of figures.
  """

  title: str
  caption: str
  traces: list[dict[str, Any]]
  layout: dict[str, Any]
  height: int = 340
  wide: bool = False
  video: str = ''
  numbers: Sequence[Sequence[str]] = ()
  first: bool = False

  def html(self, name: str) -> str:
    """Returns the element; `name` is its id."""
    data = {'data': self.traces, 'layout': self.layout}
    # `<` could end the element in which the JSON stands.
    content = json.dumps(data, separators=(',', ':'), allow_nan=False)
    content = content.replace('<', '\\u003c')
    title = html.escape(self.title)
    keys = f' data-video="{self.video}" tabindex="0"' if self.video else ''
    numbers = ''
    if self.numbers:
      numbers = (
          '<details><summary>Numbers</summary>'
          f'{Table(self.title, self.numbers).html(name + "-numbers")}</details>'
      )
    kind = 'wide' if self.wide else 'first' if self.first else ''
    return (
        f'<figure class="{kind}">'
        f'<h3 id="{name}-title">{title}</h3>'
        f'<div class="plot" id="{name}" role="img" style="height:{self.height}px"'
        f' aria-labelledby="{name}-title" aria-describedby="{name}-caption"{keys}>'
        f'</div><figcaption id="{name}-caption">{html.escape(self.caption)}'
        f'</figcaption>{numbers}'
        f'<script type="application/json" id="{name}-data">{content}</script>'
        '</figure>'
    )


@dataclasses.dataclass(frozen=True)
class Table:
  """A table; the first row and the first column are headers."""

  title: str
  rows: Sequence[Sequence[str]]
  caption: str = ''

  def html(self, name: str) -> str:
    """Returns the element; it scrolls inside itself where it is too wide."""
    head, *body = self.rows
    cells = ''.join(f'<th scope="col">{html.escape(x)}</th>' for x in head)
    lines = [f'<thead><tr>{cells}</tr></thead><tbody>']
    for first, *rest in body:
      cells = ''.join(f'<td>{html.escape(x)}</td>' for x in rest)
      lines.append(f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>')
    title = html.escape(self.title)
    return (
        f'<div class="table"><h3>{title}</h3>'
        f'<p class="caption">{html.escape(self.caption)}</p>'
        f'<div class="scroll" id="{name}" tabindex="0" role="region" '
        f'aria-label="{title}"><table aria-label="{title}">{"".join(lines)}'
        '</tbody></table></div></div>'
    )


@dataclasses.dataclass(frozen=True)
class Pictures:
  """Pictures as data URIs, each with a line of text."""

  title: str
  caption: str
  pictures: Sequence[tuple[str, str]]  # data URI, text
  large: bool = False

  def html(self, name: str) -> str:
    """Returns the element."""
    items = ''.join(
        f'<li><img src="{source}" alt="{html.escape(text)}">'
        f'<span>{html.escape(text)}</span></li>'
        for source, text in self.pictures
    )
    kind = 'large' if self.large else 'small'
    return (
        f'<figure class="wide" id="{name}"><h3>{html.escape(self.title)}</h3>'
        f'<ul class="pictures {kind}">{items}</ul>'
        f'<figcaption>{html.escape(self.caption)}</figcaption></figure>'
    )


@dataclasses.dataclass(frozen=True)
class Video:
  """A video; figures with its id follow it."""

  id: str
  source: str  # data URI or relative path
  caption: str

  def html(self, name: str) -> str:
    """Returns the element."""
    del name
    return (
        f'<figure class="wide"><video id="{self.id}" src="'
        f'{html.escape(self.source)}" controls playsinline preload="auto" '
        f'aria-label="{html.escape(self.caption)}"></video>'
        f'<figcaption>{html.escape(self.caption)} Keys on a timeline: space '
        'plays, arrows move by one second, with Shift by 0.1 seconds, Home and '
        'End jump; a click moves the video to that time.</figcaption></figure>'
    )


@dataclasses.dataclass(frozen=True)
class Note:
  """A line of text."""

  text: str

  def html(self, name: str) -> str:
    """Returns the element."""
    return f'<p class="note" id="{name}">{html.escape(self.text)}</p>'


Part = Figure | Table | Pictures | Video | Note


@dataclasses.dataclass(frozen=True)
class Section:
  """A section of the page; without parts it is left out."""

  title: str
  parts: Sequence[Part]

  def html(self, name: str) -> str:
    """Returns the element."""
    parts = ''.join(
        part.html(f'{name}-{i}') for i, part in enumerate(self.parts)
    )
    return (
        f'<section aria-labelledby="{name}"><h2 id="{name}">'
        f'{html.escape(self.title)}</h2><div class="grid">{parts}</div></section>'
    )
