r"""Times `upscale` against PyTorch.

  python -m benchmarks.super_resolution.upscaling
  python -m benchmarks.super_resolution.upscaling --networks=rrdb_4_23 --pixels=112 --batch_size=32 \
      --images=512 --device=gpu --dtype=bfloat16

Both sides have the same random weights. `network` enlarges images in memory, from
uint8 to uint8, batch by batch. `command` also reads a folder of JPEGs and writes
PNGs: ours is the command without its imports, with its programs compiled; PyTorch's
side is a loop over batches with OpenCV. PyTorch runs eagerly, channels last, without
gradients. Rounds alternate; the ratio is the median over pairs of rounds. We are
faster where it is above 1.
"""

from collections.abc import Callable, Sequence
import pathlib
import shutil
import tempfile

from absl import flags
import cv2
import numpy as np
import torch

from abaw_jax.core import cli
from benchmarks import harness
from benchmarks.twins import super_resolution as twins

# Arguments of the networks by name: scale, width, and growth and blocks, or
# convolutions.
NETWORKS = {
    'rrdb_4_23': (twins.RRDBNet, (4, 64, 32, 23)),
    'rrdb_2_23': (twins.RRDBNet, (2, 64, 32, 23)),
    'rrdb_4_6': (twins.RRDBNet, (4, 64, 32, 6)),
    'compact_4_32': (twins.SRVGGNetCompact, (4, 64, 32)),
    'compact_4_16': (twins.SRVGGNetCompact, (4, 64, 16)),
}

flags.DEFINE_list(
    'networks',
    ['rrdb_4_6', 'rrdb_2_23', 'compact_4_16'],
    'Keys of NETWORKS: kind, scale, and blocks or convolutions.',
)
flags.DEFINE_integer('pixels', 48, 'Side of the images in pixels.')
flags.DEFINE_integer('images', 16, 'Images of a round.')
flags.DEFINE_integer('batch_size', 8, 'Images per step.')
flags.DEFINE_enum('dtype', 'float32', ['float32', 'bfloat16'], 'Precision.')
harness.define_device()
flags.DEFINE_integer('rounds', 5, 'Rounds.')

_COLUMNS = (
    'network', 'pixels', 'network only', 'PyTorch', 'ratio',
    'command', 'PyTorch', 'ratio',
)  # fmt: skip


def make_twin(
    twin: torch.nn.Module,
) -> Callable[[Sequence[np.ndarray]], list[np.ndarray]]:
  """Returns a function that enlarges uint8 images with PyTorch."""
  args = flags.FLAGS
  device = 'cuda' if args.device == 'gpu' else 'cpu'
  dtype = getattr(torch, args.dtype)
  twin = twin.to(device, dtype, memory_format=torch.channels_last).eval()

  def enlarge(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    found = []
    with torch.inference_mode():
      for start in range(0, len(images), args.batch_size):
        batch = np.stack(images[start : start + args.batch_size])
        batch = torch.from_numpy(batch).to(device).permute(0, 3, 1, 2)
        batch = batch.to(dtype, memory_format=torch.channels_last) / 255
        out = twin(batch).float().clamp(0, 1).mul(255).round().byte()
        found += list(out.permute(0, 2, 3, 1).cpu().numpy())
    return found

  return enlarge


def make_row(name: str, root: pathlib.Path) -> list[str]:
  """Returns the row of a network."""
  from abaw_jax.conversion import convert
  from abaw_jax.upscaling import folders, pictures, upscalers

  args = flags.FLAGS
  torch.manual_seed(0)
  make, sizes = NETWORKS[name]
  twin = make(*sizes)
  torch.save({'params': twin.state_dict()}, root / f'{name}.pth')
  convert.import_weights(root / f'{name}.pth', root / name)
  upscaler = upscalers.load(
      str(root / name), batch_size=args.batch_size, dtype=args.dtype
  )
  theirs = make_twin(twin)
  paths = sorted((root / 'faces').glob('*.jpg'))
  images = [cv2.imread(str(path)) for path in paths]

  def check() -> None:
    found = dict(upscaler(enumerate(images)))
    for i, want in enumerate(theirs(images)):
      gap = np.abs(found[i].astype(int) - want).max()
      assert gap <= (1 if args.dtype == 'float32' else 16), gap

  def command() -> None:
    shutil.rmtree(root / 'out', ignore_errors=True)
    folders.upscale(
        root / 'faces', root / 'out', upscaler, pictures.Encoding('png')
    )

  def loop() -> None:
    read = [cv2.imread(str(path)) for path in paths]
    for path, image in zip(paths, theirs(read), strict=True):
      cv2.imwrite(str(root / 'theirs' / f'{path.stem}.png'), image)

  check()
  cells = [name, f'{args.pixels}']
  for ours, other in (
      (lambda: list(upscaler(enumerate(images))), lambda: theirs(images)),
      (command, loop),
  ):
    result = harness.compare(ours, other, rounds=args.rounds)
    cells += [*result.rates(len(images), 'images'), result.ratio()]
  return cells


def main() -> None:
  """Prints the table."""
  args = flags.FLAGS
  harness.share_device(args.device)
  rng = np.random.default_rng(0)
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    for name in ('faces', 'theirs'):
      (root / name).mkdir()
    for i in range(args.images):
      small = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
      image = cv2.resize(small, (args.pixels, args.pixels))
      cv2.imwrite(str(root / 'faces' / f'{i:05d}.jpg'), image)
    harness.print_table(_COLUMNS, (make_row(x, root) for x in args.networks))


if __name__ == '__main__':
  cli.run(main, __doc__)
