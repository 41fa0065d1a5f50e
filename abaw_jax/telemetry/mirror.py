"""A local folder whose files go to a bucket while they grow.

Objects in a bucket cannot grow, so changed files are uploaded again as units.
"""

import pathlib
import shutil
import tempfile
import threading

from abaw_jax.core import files

EVERY_S = 30.0


class Mirror:
  """Uploads changed files every `EVERY_S`, and in `upload`.

  If the target is a local folder, files are written there directly.

  Attributes:
    folder: local folder to write to.
  """

  def __init__(self, target: files.Path):
    """Starts with the same `metrics.jsonl` as the target, if it has one.

    Args:
      target: folder, perhaps in a bucket; a local one is created.
    """
    self._target = target
    self._is_remote = files.is_bucket(target)
    self.folder: pathlib.Path = target
    if not self._is_remote:
      target.mkdir(parents=True, exist_ok=True)
      return
    self.folder = pathlib.Path(tempfile.mkdtemp())
    lines = target / 'metrics.jsonl'
    if lines.exists():
      (self.folder / lines.name).write_bytes(lines.read_bytes())
    self._uploaded: dict[pathlib.Path, tuple[int, int]] = {}
    self._lock = threading.Lock()
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._repeat, daemon=True)
    self._thread.start()

  def upload(self) -> None:
    """Uploads all changed files; returns when the bucket has them.

    Raises:
      OSError: the bucket does not answer or refuses.
    """
    if not self._is_remote:
      return
    with self._lock:
      for path in sorted(self.folder.rglob('*')):
        if not path.is_file():
          continue
        found = path.stat()
        version = found.st_size, found.st_mtime_ns
        if self._uploaded.get(path) != version:
          name = path.relative_to(self.folder).as_posix()
          # The file may grow meanwhile; these bytes are a valid part of it.
          files.write(self._target / name, path.read_bytes())
          self._uploaded[path] = version

  def close(self) -> None:
    """Uploads for the last time and removes the local folder; raises as `upload`."""
    if not self._is_remote:
      return
    self._stop.set()
    self._thread.join()
    self.upload()
    shutil.rmtree(self.folder)

  def _repeat(self) -> None:
    while not self._stop.wait(EVERY_S):
      try:
        self.upload()
      except Exception:
        continue  # the next upload tries again, and `upload` reports it
