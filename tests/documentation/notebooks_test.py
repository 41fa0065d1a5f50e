"""The notebooks run from top to bottom, and are stored without outputs."""

import os
import pathlib
import sys

import nbclient
import nbformat
import pytest

from tests.training import runs

NOTEBOOKS = sorted((runs.ROOT / 'docs' / 'notebooks').glob('*.ipynb'))


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
  for name, value in runs.environment().items():
    monkeypatch.setenv(name, value)
  monkeypatch.delenv(
      'JAX_NUMPY_RANK_PROMOTION', raising=False
  )  # of our tests only
  binaries = pathlib.Path(sys.executable).parent
  monkeypatch.setenv('PATH', f'{binaries}{os.pathsep}{os.environ["PATH"]}')
  notebook = nbformat.read(path, as_version=4)
  nbformat.validate(notebook)
  code = [cell for cell in notebook.cells if cell.cell_type == 'code']
  assert [cell for cell in code if cell.outputs or cell.execution_count] == []
  client = nbclient.NotebookClient(
      notebook,
      timeout=120,
      kernel_name='python3',
      resources={'metadata': {'path': str(tmp_path)}},
  )
  client.execute()
  shown = [output for cell in code for output in cell.outputs]
  results = [
      x for x in shown if x.output_type in ('execute_result', 'display_data')
  ]
  assert len(results) >= 2
