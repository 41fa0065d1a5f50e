r"""Times `extract` against a plain PyTorch loop with Pillow.

  python -m benchmarks.extraction
  python -m benchmarks.extraction --models=vit_b --batch_size=256 --device=gpu

Both embed the frames of a procedural corpus with a ViT of the same shape. Our side is
the complete command without its imports: it loads weights, reads the built dataset and
writes a dataset of features; its step comes from JAX's compilation cache. PyTorch's
side opens each JPEG, resizes and normalises it, runs Hugging Face's ViT on batches
and keeps the features in memory. Rounds alternate; the ratio is the median over pairs
of rounds. We are faster where it is above 1.
"""

from collections.abc import Callable, Sequence
import pathlib
import shutil
import tempfile

from absl import flags
import numpy as np
import PIL.Image
import torch

from abaw_jax.core import cli
from benchmarks import cases, harness
from benchmarks.twins import backbones

flags.DEFINE_list('models', ['vit_nano'], 'Keys of zoo.VITS.')
flags.DEFINE_integer('image_size', 112, 'Side of the images in pixels.')
flags.DEFINE_integer('batch_size', 64, 'Images per step.')
flags.DEFINE_integer('videos', 24, 'Videos of the corpus.')
flags.DEFINE_integer('frames', 128, 'Mean number of frames of a video.')
harness.define_device()
flags.DEFINE_integer('rounds', 3, 'Rounds.')

_COLUMNS = ('model', 'frames', 'ours', 'PyTorch', 'ours / PyTorch')


def make_loop(
    backbone: object, frames: Sequence[pathlib.Path]
) -> Callable[[], None]:
  """Returns a function that embeds all frames with PyTorch."""
  args = flags.FLAGS
  device = 'cuda' if args.device == 'gpu' else 'cpu'
  twin = backbones.vit(backbone).to(device).eval()
  mean = torch.tensor((0.485, 0.456, 0.406)).reshape(3, 1, 1)
  std = torch.tensor((0.229, 0.224, 0.225)).reshape(3, 1, 1)
  size = (args.image_size, args.image_size)

  def load(path: pathlib.Path) -> torch.Tensor:
    with PIL.Image.open(path) as image:
      pixels = image.convert('RGB').resize(size, PIL.Image.BICUBIC)
    pixels = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
    return (pixels.float() / 255 - mean) / std

  def embed() -> None:
    vectors = []
    with torch.inference_mode():
      for start in range(0, len(frames), args.batch_size):
        part = frames[start : start + args.batch_size]
        batch = torch.stack([load(path) for path in part]).to(device)
        vectors.append(twin(batch).cpu().numpy())
    assert len(np.concatenate(vectors)) == len(frames)

  return embed


def make_row(
    backbone: str, root: pathlib.Path, frames: list[pathlib.Path]
) -> list[str]:
  """Returns the row of a backbone."""
  from abaw_jax.inference import extraction

  model = cases.write_weights(
      root / backbone,
      backbone,
      image_size=flags.FLAGS.image_size,
      dtype='float32',
  )
  features = root / f'{cases.DATASET}_features'

  def extract() -> None:
    shutil.rmtree(features, ignore_errors=True)
    extraction.extract(
        init_from=root / backbone,
        data_dir=root,
        dataset=cases.DATASET,
        name=backbone,
        batch_size=flags.FLAGS.batch_size,
    )

  result = harness.compare(
      extract, make_loop(model, frames), rounds=flags.FLAGS.rounds
  )
  rates = result.rates(len(frames), 'frames')
  return [backbone, f'{len(frames):,}', *rates, result.ratio()]


def main() -> None:
  """Prints the table."""
  import jax

  harness.share_device(flags.FLAGS.device)
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    jax.config.update('jax_compilation_cache_dir', str(root / 'cache'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    frames = cases.write_corpus(
        root,
        videos=flags.FLAGS.videos,
        frames=flags.FLAGS.frames,
        workers=2,
    )
    rows = [make_row(name, root, frames) for name in flags.FLAGS.models]
  harness.print_table(_COLUMNS, rows)


if __name__ == '__main__':
  cli.run(main, __doc__)
