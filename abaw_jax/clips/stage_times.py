"""Time of each stage of a prediction, summed over threads."""

from collections.abc import Iterator
import contextlib
import threading
import time

from abaw_jax.core import text_table

# In the order of a frame's way.
STAGES = (
    'decode', 'detect', 'align', 'embed', 'temporal', 'write', 'overlay',
)  # fmt: skip
# The first call of each network.
COMPILE = 'compile'


class StageTimes:
  """Seconds of each stage; threads may share it."""

  def __init__(self):
    self.seconds = dict.fromkeys((*STAGES, COMPILE), 0.0)
    self._lock = threading.Lock()

  @contextlib.contextmanager
  def measure(self, stage: str) -> Iterator[None]:
    """Adds the time of the block to a stage."""
    start = time.perf_counter()
    try:
      yield
    finally:
      spent = time.perf_counter() - start
      with self._lock:
        self.seconds[stage] += spent

  def table(self, frames: int, seconds: float) -> list[str]:
    """Returns a table of the time per frame as lines.

    Stages run at the same time in several threads, so their sum may be larger than
    the time from start to end.

    Args:
      frames: number of frames that were read, at least 1.
      seconds: from start to end.
    """
    rows = [('stage', 'ms per frame')]
    rows += [
        (stage, f'{1000 * self.seconds[stage] / frames:.1f}')
        for stage in STAGES
        if self.seconds[stage]
    ]
    rows.append(('all, in parallel', f'{1000 * seconds / frames:.1f}'))
    return [
        *text_table.aligned(rows),
        f'{frames:,} frames in {seconds:.1f} s: {frames / seconds:.1f} frames/s, '
        f'with {self.seconds[COMPILE]:.1f} s to compile the model',
    ]
