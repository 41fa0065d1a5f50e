r"""Writes one HTML page about runs, predictions and predicted clips.

  abaw-jax report runs/mae runs/mtl --out=page.html
  abaw-jax report runs/a/predictions/validation.npz blend.parquet --out=page.html
  abaw-jax predict clip.mp4 --model=BUNDLE --out=DIR --overlay
  abaw-jax report DIR --out=page.html

A path is the workdir of a run or of a cross-validation, a file of predictions (.npz,
.parquet, .csv), a table of abaw-jax predict, or its folder. Several paths are shown
side by side. The page needs no network and has less than 10 MB; videos that are too
large for it are written next to it. docs/report.md describes it.
"""

from absl import flags

from abaw_jax.core import cli, errors, files

flags.DEFINE_string('out', None, 'Page to write, a .html file.', required=True)
flags.DEFINE_string('title', 'Report', 'Title of the page.')


def main(*names: str) -> None:
  """Writes the page."""
  from abaw_jax.report_page import inputs, page
  from abaw_jax.workflow import studies

  out = files.local_path(flags.FLAGS.out, 'out')
  if out.suffix != '.html':
    raise errors.InputError(f'--out={out}: name a .html file')
  paths = [
      run
      for name in names
      for run in studies.runs_of(files.local_path(name, 'PATH'))
  ]
  size = page.write(out, inputs.read(paths), flags.FLAGS.title)
  print(f'{out}: {size / 1e6:.1f} MB')


if __name__ == '__main__':
  cli.run(main, __doc__, operands='paths')
