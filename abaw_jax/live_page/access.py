"""Who may talk to the server: pages of its own address that know the token."""

from collections.abc import Mapping
import secrets

HOST = '127.0.0.1'


class Access:
  """Checks requests.

  Attributes:
    token: secret of this server; part of the address that a person opens.
    address: address of the page, with the token.
    hosts: names of this server, with its port.
  """

  def __init__(self, port: int):
    self.token = secrets.token_urlsafe(24)
    self.address = f'http://{HOST}:{port}/?token={self.token}'
    self.hosts = tuple(f'{name}:{port}' for name in (HOST, 'localhost'))

  def refusal(
      self, headers: Mapping[str, str], query: Mapping[str, str]
  ) -> str | None:
    """Returns why a request is refused, None if it is not.

    Another host name in a request is a sign of DNS rebinding: a foreign page whose
    name was changed to the address of this machine.

    Args:
      headers: of the request, with names in lower case.
      query: values in its address, by name.
    """
    if headers.get('host') not in self.hosts:
      return 'This server answers for its own address only.'
    origin = headers.get('origin')
    if origin is not None and origin not in {f'http://{x}' for x in self.hosts}:
      return 'Another page must not use this server.'
    given = query.get('token', '').encode()
    # In a time that does not depend on the first wrong character.
    if not secrets.compare_digest(given, self.token.encode()):
      return (
          'The token is missing or wrong. Open the address that the terminal '
          'shows; it changes with every start.'
      )
    return None
