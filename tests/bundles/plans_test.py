"""Windows and smoothing of a track are those of the full track."""

import dataclasses
import itertools

import numpy as np
import pytest

from abaw_jax.bundles import batches, plans
from abaw_jax.bundles import rows as rows_lib
from abaw_jax.postprocessing import postprocess, smoothing
from tests.scoring import rows as synthetic


def read(plan, count, cuts):
  """Returns the windows of a track whose features are the frame numbers."""
  numbers = np.arange(count)
  windows = []
  for a, b in itertools.pairwise((0, *cuts, count)):
    windows += plan.push(numbers[a:b, None].astype(float), numbers[a:b])
  return windows + plan.finish()


@pytest.mark.parametrize('stride', [1, 3, 4, 7])
@pytest.mark.parametrize('count', [1, 6, 7, 8, 21, 30])
def test_every_frame_is_kept_once_with_its_context(stride, count):
  for cuts in ((), range(1, count), (count // 2,)):
    windows = read(plans.Windows(7, stride), count, cuts)
    kept = [i for w in windows for i in w.frame_id[w.keep]]
    assert kept == list(range(count))
    margin = (7 - stride) // 2
    for window in windows:
      first, last = window.frame_id[[0, -1]]
      assert len(window.frame_id) == 7 or stride == 7 or count < 7
      np.testing.assert_array_equal(window.features[:, 0], window.frame_id)
      for i in window.frame_id[window.keep]:
        assert i - first >= margin or first == 0
        assert last - i >= margin or last == count - 1


def test_windows_of_evaluation_do_not_overlap():
  windows = read(plans.Windows(7, 7), 16, (3, 9))
  assert [w.frame_id.tolist() for w in windows] == [
      list(range(7)), list(range(7, 14)), [14, 15]
  ]  # fmt: skip


def test_sliding_windows_end_with_their_frame():
  for i, window in enumerate(read(plans.Sliding(4), 9, (2, 3))):
    assert window.frame_id.tolist() == list(range(max(i - 3, 0), i + 1))
    assert window.frame_id[window.keep].tolist() == [i]


def test_chunks_have_two_lengths():
  windows = read(plans.Chunks(), 70, (1, 5))
  assert {w.length for w in windows} == {1, plans.Chunks.LENGTH}
  assert [i for w in windows for i in w.frame_id[w.keep]] == list(range(70))


@pytest.mark.parametrize('count', [*range(1, 18), 63, 64, 100, 200])
def test_batches_are_mostly_full(count):
  parts = [*batches.split(count, (1, 4, 16, 64))]
  assert [i for part, _ in parts for i in range(count)[part]] == [*range(count)]
  for part, size in parts:
    assert size * 0.75 <= part.stop - part.start <= size


KINDS = [
    smoothing.Smoothing(),
    smoothing.Smoothing('mean', 'row', 2.5),
    smoothing.Smoothing('mean', 'frame', 4),
    smoothing.Smoothing('mean', 'frame', 9, 2),
    smoothing.Smoothing('gaussian', 'row', 0.8),
    smoothing.Smoothing('gaussian', 'frame', 1.5),
    smoothing.Smoothing('gaussian', 'frame', 3, 2),
    smoothing.Smoothing('median', 'row', 2),
    smoothing.Smoothing('median', 'frame', 5),
]


@pytest.mark.parametrize('kind', KINDS, ids=str)
@pytest.mark.parametrize('live', [False, True])
def test_smoothing_of_a_track_is_that_of_all_its_rows(kind, live):
  video = synthetic.make(videos=1, frames=40)
  keys, first = np.unique(video.frame_id, return_index=True)
  video = video.take(first)  # each frame once, in order
  rng = np.random.default_rng(1)
  processing = dataclasses.replace(
      postprocess.Postprocessing.equal_weights(1),
      smoothing={'va': kind, 'expr': kind, 'au': smoothing.Smoothing()},
      bias=rng.normal(size=8),
      thresholds=rng.uniform(0.2, 0.8, 12),
  )
  buffer = rows_lib.RowBuffer(processing, num_members=1, live=live)
  parts, sizes = [], []
  cuts = (0, 1, 2, 9, 10, 30, len(keys))
  for a, b in itertools.pairwise(cuts):
    buffer.expect(keys[a:b], keys[a:b] / 30)
    buffer.add(0, {k: getattr(video, k)[a:b] for k in rows_lib.FIELDS})
    parts.append(buffer.take())
    sizes.append(sum(len(part[0]) for part in parts))
  if live:
    assert sizes == list(cuts[1:])
  parts.append(buffer.take(finished=True))
  np.testing.assert_array_equal(np.concatenate([p[0] for p in parts]), keys)
  np.testing.assert_array_equal(
      np.concatenate([p[1] for p in parts]), keys / 30
  )
  if live:  # row i is the last one of a track that ends with it
    ends = [
        processing.apply([video.take(np.arange(i + 1))]).take(np.array([i]))
        for i in range(len(keys))
    ]
    want = {
        k: np.concatenate([getattr(x, k) for x in ends])
        for k in rows_lib.FIELDS
    }
  else:
    full = processing.apply([video])
    want = {k: getattr(full, k) for k in rows_lib.FIELDS}
  for field in rows_lib.FIELDS:
    found = np.concatenate([getattr(p[2], field) for p in parts])
    np.testing.assert_allclose(found, want[field], rtol=0, atol=1e-12)
