"""A share of the training videos against the videos of the dataset."""

import numpy as np
import pytest

from abaw_jax.core import errors
from abaw_jax.data import image_sources, sources, video_share
from tests.data import corpora, numbers


class Frames(numbers.Numbers):
  """Twenty videos of three frames; a frame is its number."""

  def __init__(self):
    super().__init__(60)

  def names(self, rows):
    del rows
    return {'video': np.array([f'v{i // 3}' for i in range(60)])}

  def with_fields(self, *fields):
    assert fields == ('number',)
    return self


def test_whole_videos_are_drawn_and_larger_shares_have_the_smaller_ones():
  drawn = {
      share: video_share.VideoShare(Frames(), share, seed=3)
      for share in (0.01, 0.25, 0.3, 1.0)
  }
  for share, count in {0.01: 1, 0.25: 5, 0.3: 6, 1.0: 20}.items():
    found = [record['number'] for record in drawn[share]]
    videos = {number // 3 for number in found}
    assert len(videos) == count
    assert found == [n for n in range(60) if n // 3 in videos]
    labels = drawn[share].with_fields('number')
    assert [labels[i]['number'] for i in range(len(labels))] == found
    names = drawn[share].names({})['video'].tolist()
    assert names == [f'v{n // 3}' for n in found]
  assert set(drawn[0.25].videos) < set(drawn[0.3].videos)
  other = video_share.VideoShare(Frames(), 0.25, seed=4)
  assert set(other.videos) != set(drawn[0.25].videos)


def test_training_reads_the_share(tmp_path):
  corpora.build_toy(tmp_path, 'frames')
  data = {
      'name': 'toy', 'dir': str(tmp_path), 'weights': '', 'validation': '',
      'class_balance': 'none', 'expression_targets': 'majority',
      'video_share': 0.5, 'share_seed': 0,
  }  # fmt: skip
  source = image_sources.frame_source(data, 'train')
  assert len(source) in (9, 5)  # one of the two videos
  assert len(image_sources.frame_source(data | {'video_share': 1.0}, 'train')) == 14  # fmt: skip
  with pytest.raises(errors.InputError, match='name one, or set the share'):
    image_sources.frame_source(data | {'name': 'toy,toy'}, 'train')


def test_single_images_are_refused(tmp_path):
  corpora.build_faces(tmp_path)
  source = sources.Records(tmp_path, 'toy_faces', 'wild', 'train')
  with pytest.raises(errors.InputError, match='not from videos'):
    video_share.VideoShare(source, 0.5, seed=0)
