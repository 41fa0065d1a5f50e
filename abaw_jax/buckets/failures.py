"""Errors of buckets: their causes, and the advice for the user."""

from collections.abc import Iterator
import contextlib
import re

_REFUSED = re.compile(
    r'^Forbidden|^Access Denied|PERMISSION_DENIED|UNAUTHENTICATED|'
    r'[Cc]redentials|code: 40[13]|, 40[13]$'
)
_LOST = re.compile(
    r"UNAVAILABLE|DEADLINE_EXCEEDED|[Cc]ouldn't connect|[Cc]ould not connect|"
    r'[Cc]annot connect|[Tt]imed? ?out|[Cc]onnection|Name or service not known|'
    r'Max retries exceeded'
)
_MISSING = re.compile(
    r'bucket does not exist|^b/[^/]+/o$|/b/[^/]+/o(\?.*)?$|NoSuchBucket'
)
# The packages that talk to buckets. Their errors have many classes.
_PACKAGES = {
    'aiobotocore', 'aiohttp', 'botocore', 'gcsfs', 'google', 'requests',
    's3fs', 'urllib3',
}  # fmt: skip
_URL = re.compile(r'(gs|s3|https?)://\S+')


class BucketError(OSError):
  """A bucket that cannot be used; the text is the line for the user.

  Attributes:
    advice: the line without the path.
  """

  def __init__(self, line: str, advice: str = ''):
    """Initializes the error; `advice` is '' if it is the line."""
    super().__init__(line)
    self.advice = advice or line


@contextlib.contextmanager
def named(path: str) -> Iterator[None]:
  """Turns the errors of a bucket into a BucketError that names the path."""
  try:
    yield
  except BucketError:
    raise
  except Exception as e:
    if (text := advice(e)) is None:
      raise
    raise BucketError(f'{path}: {text}', text) from e


def advice(error: BaseException) -> str | None:
  """Returns the cause and the fix of an error; None if no bucket is its cause."""
  if isinstance(error, BucketError):
    return error.advice
  # A TimeoutError has no text.
  text = ' '.join(str(error).split()) or type(error).__name__
  words = _URL.sub('', text)  # the path may have any words
  package = type(error).__module__.partition('.')[0]
  # The classes of Python that gcsfs and s3fs raise have no file name.
  is_plain = isinstance(error, OSError) and error.filename is None
  if not (package in _PACKAGES or is_plain or words != text):
    return None
  if is_missing_bucket(error):
    return 'there is no such bucket; create it, or correct its name'
  if isinstance(error, (FileExistsError, FileNotFoundError)):
    return None
  if (
      isinstance(error, PermissionError)
      or 'Credential' in type(error).__name__
      or _REFUSED.search(words)
  ):
    return (
        f'access is refused ({text[:150]}); give this account access to the '
        'bucket, or use another: `gcloud auth application-default login` for '
        'gs://, AWS_PROFILE or `aws configure` for s3://'
    )
  if package in _PACKAGES - {'google'} or _LOST.search(words):
    return (
        f'the bucket does not answer ({text[:150]}); check the network, then '
        'run the same command again'
    )
  return None


def is_missing_bucket(error: BaseException) -> bool:
  """Returns whether an error says that there is no such bucket."""
  return _MISSING.search(str(error)) is not None
