"""The page: one HTML file with its style and script, and its safety headers."""

from collections.abc import Iterable
import dataclasses
from importlib import resources
import json
import secrets

from abaw_jax.live_page import messages


def render(description: messages.Description, nonce: str) -> str:
  """Returns the page.

  Args:
    description: of the model.
    nonce: random text that marks the style and the script of this page.
  """
  folder = resources.files('abaw_jax.live_page')
  # `<` could end the element in which the JSON stands.
  model = json.dumps(dataclasses.asdict(description)).replace('<', '\\u003c')
  text = (folder / 'page.html').read_text('utf-8')
  for mark, value in {
      '{{style}}': (folder / 'page.css').read_text('utf-8'),
      '{{script}}': (folder / 'page.js').read_text('utf-8'),
      '{{nonce}}': nonce,
      '{{model}}': model,
  }.items():
    text = text.replace(mark, value)
  return text


def make_nonce() -> str:
  """Returns a random text."""
  return secrets.token_urlsafe(16)


def headers(nonce: str, hosts: Iterable[str]) -> dict[str, str]:
  """Returns headers that keep all other hosts, scripts and pages out.

  Args:
    nonce: of the page.
    hosts: names of this server, with its port.
  """
  sockets = ' '.join(f'ws://{host}' for host in hosts)
  policy = {
      'default-src': "'none'",
      'script-src': f"'nonce-{nonce}'",
      'style-src': f"'nonce-{nonce}'",
      # Some browsers do not count a WebSocket as 'self'.
      'connect-src': f"'self' {sockets}",
      'media-src': "'self' blob:",
      'img-src': "'self' data:",
      'base-uri': "'none'",
      'form-action': "'none'",
      'frame-ancestors': "'none'",
  }
  return {
      'Content-Security-Policy': '; '.join(
          f'{k} {v}' for k, v in policy.items()
      ),
      'Permissions-Policy': 'camera=(self), microphone=(), geolocation=()',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Resource-Policy': 'same-origin',
  }
