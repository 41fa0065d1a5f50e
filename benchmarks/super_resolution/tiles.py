r"""Measures how much the overlap of tiles changes an enlarged image.

  python -m benchmarks.super_resolution.tiles
  python -m benchmarks.super_resolution.tiles --models=weights/x4plus,runs/sr --tile=256

A row has the largest and the mean difference between an image from tiles and the
undivided image, in grey levels before rounding. A model is a folder of weights or a
run, or a name such as rrdb_4_23 (`upscaling`) for initial weights. The
image has four rendered faces of 112 pixels.
"""

from collections.abc import Iterator
import pathlib
import tempfile

from absl import flags
import cv2
import jax
import numpy as np
import torch

from abaw_jax.core import cli
from benchmarks import harness
from benchmarks.super_resolution import upscaling

flags.DEFINE_list('models', ['rrdb_4_6'], 'Models.')
flags.DEFINE_list(
    'overlaps', ['0', '4', '8', '16', '32'], 'Overlaps in pixels.'
)
flags.DEFINE_integer('tile', 96, 'Side of a tile in pixels.')

_COLUMNS = ('model', 'receptive field', 'overlap', 'largest', 'mean')


def make_image(root: pathlib.Path) -> np.ndarray:
  """Returns RGB pixels of 2 x 2 faces."""
  from abaw_jax.data_builders.procedural import corpus

  corpus.write(root, videos=4, frames=4, seed=0, workers=1)
  videos = sorted({path.parent for path in root.rglob('*.jpg')})[:4]
  faces = [
      cv2.cvtColor(cv2.imread(str(min(x.glob('*.jpg')))), cv2.COLOR_BGR2RGB)
      for x in videos
  ]
  return np.vstack([np.hstack(faces[:2]), np.hstack(faces[2:])])


def make_rows(
    model: str, image: np.ndarray, root: pathlib.Path
) -> Iterator[list[str]]:
  """Yields a row for each overlap."""
  from abaw_jax.conversion import convert
  from abaw_jax.upscaling import tiling, upscalers

  folder = model
  if model in upscaling.NETWORKS:
    torch.manual_seed(0)
    make, sizes = upscaling.NETWORKS[model]
    state = make(*sizes).state_dict()
    for name, x in state.items():  # as BasicSR initialises
      if '.rdb' in name and x.ndim > 1:
        torch.nn.init.kaiming_normal_(x).mul_(0.1)
    torch.save({'params': state}, root / f'{model}.pth')
    folder = root / model
    convert.import_weights(root / f'{model}.pth', folder)
  network = upscalers.load(str(folder))
  pixels = jax.jit(network.pixels)

  def enlarge(tile: int, overlap: int) -> np.ndarray:
    tiler = tiling.Tiler(
        lambda batch: pixels(network.params, batch),
        scale=network.scale,
        batch_size=1,
        multiple=1,
        tile=tile,
        overlap=overlap,
    )
    ((_, found),) = tiler([(0, image)])
    return 255 * found

  undivided = enlarge(1 << 16, 0)
  for overlap in flags.FLAGS.overlaps:
    gap = np.abs(enlarge(flags.FLAGS.tile, int(overlap)) - undivided)
    field = network.generator.receptive_field
    yield [
        model, f'{field}', overlap, f'{gap.max():.4f}', f'{gap.mean():.6f}',
    ]  # fmt: skip


def main() -> None:
  """Prints the table."""
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    image = make_image(root / 'faces')
    rows = (x for m in flags.FLAGS.models for x in make_rows(m, image, root))
    harness.print_table(_COLUMNS, rows)


if __name__ == '__main__':
  cli.run(main, __doc__)
