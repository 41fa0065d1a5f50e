"""Loads the parameters of a run from its checkpoints, or those of a file."""

from collections.abc import Mapping
import hashlib
import operator
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np
import orbax.checkpoint as ocp

from abaw_jax.checkpoints import orbax_buckets, runs
from abaw_jax.core import errors, files, storage_errors
from abaw_jax.distributed import sharding
from abaw_jax.porting import weight_files
from abaw_jax.tasks import registry
from abaw_jax.tasks import task as task_lib


def load(
    workdir: files.Path, shapes: Any, *, renames: dict[str, str] | None = None
) -> tuple[Any, int]:
  """Returns parameters from the best checkpoint of a run, and its step.

  Without scores, the newest checkpoint is used.

  Args:
    workdir: folder of the run.
    shapes: nested dict of the wanted `jax.ShapeDtypeStruct`s with sharding.
    renames: wanted top-level name -> top-level name in the checkpoint, for a
      part of another model; None loads every parameter under its own name.

  Raises:
    InputError: there is no readable checkpoint, or its parameters differ from
      `shapes`; the message lists every missing, extra or misshapen path.
  """
  task = registry.task_class(runs.read_config(workdir))
  directory = orbax_buckets.folder(workdir, 'checkpoints')
  for path in storage_errors.unreadable_scores(directory):
    raise errors.InputError(
        f'{path}: cannot be read; remove {path.parent} to ignore this score'
    )
  options = ocp.CheckpointManagerOptions(
      best_fn=operator.itemgetter(task.score),
      best_mode=task.best,
      read_only=True,
  )
  with ocp.CheckpointManager(
      directory,
      options=options,
      item_handlers={'params': ocp.PyTreeCheckpointHandler()},
  ) as manager:
    step = manager.best_step()
    if step is None:
      step = manager.latest_step()
    if step is None:
      raise errors.InputError(
          f'{workdir}: holds no finished checkpoint; train it with '
          f'`abaw-jax train --workdir={workdir} ...`'
      )
    folder = directory / str(step)
    try:
      return read(manager, step, shapes, renames, folder), step
    except storage_errors.ERRORS as e:
      raise errors.InputError(
          f'{folder}: cannot be read ({storage_errors.reason(e)}); move it away '
          'to use the next best checkpoint'
      ) from e


def read(
    manager: ocp.CheckpointManager,
    step: int,
    shapes: Any,
    renames: dict[str, str] | None,
    folder: files.Path,
) -> dict[str, Any]:
  """Returns the parameters of a step.

  Args:
    manager: manager of checkpoints with an item `params`.
    step: step of a checkpoint.
    shapes: as in `load`.
    renames: as in `load`.
    folder: folder of the checkpoint, for messages.

  Raises:
    InputError: as `load`.
    OSError, ValueError: a file is damaged or missing.
  """
  if not (folder / 'params').is_dir():
    raise ValueError('there is no folder params')
  metadata = manager.item_metadata(step)['params']
  if metadata is None:
    raise ValueError('params has no metadata')
  stored = metadata.tree
  if renames is None:
    unused = {task_lib.IDENTITY_HEAD} - shapes.keys()
    renames = {name: name for name in shapes | stored if name not in unused}
  have = {new: stored[old] for new, old in renames.items() if old in stored}
  check_same_shapes(have, shapes, folder)
  target = {renames[new]: tree for new, tree in shapes.items()}
  restored = manager.restore(
      step,
      args=ocp.args.Composite(
          params=ocp.args.PyTreeRestore(
              target,
              restore_args=ocp.checkpoint_utils.construct_restore_args(target),
              partial_restore=True,
          )
      ),
  )['params']
  return {new: restored[renames[new]] for new in shapes}


def load_file(
    path: files.Path,
    card: Mapping[str, Any],
    shapes: Any,
    renames: Mapping[str, str] | None = None,
) -> tuple[dict[str, Any], str]:
  """Returns parameters of a `.safetensors` file, and its SHA-256.

  Args:
    path: of the file.
    card: content of `card.json` next to it, with the checksum.
    shapes: as in `load`.
    renames: as in `load`.

  Raises:
    InputError: the file has another checksum, or other shapes.
  """
  with files.local_copy(path) as copy:
    found = weight_files.sha256(copy)
    if found != card.get('weights_sha256'):
      raise errors.InputError(
          f'{path}: its sha256 differs from the one in card.json; '
          'convert the weights again'
      )
    stored, _ = weight_files.read_tensors(copy)
  if renames is not None:
    stored = {
        name.replace(old, new, 1): value
        for name, value in stored.items()
        for new, old in renames.items()
        if name.startswith(f'{old}/')
    }
  check_same_shapes(stored, shapes, path)

  def place(name, want):
    value = stored[sharding.path_name(name)]
    return jax.make_array_from_callback(
        want.shape, want.sharding, value.__getitem__
    )

  return jax.tree_util.tree_map_with_path(place, shapes), found


def check_same_shapes(
    have: Any,
    want: Any,
    where: files.Path,
    *,
    content: str = 'weights of another model',
    fix: str = 'choose the config.model that they were trained with',
) -> None:
  """Raises an InputError that names missing, extra and misshapen paths.

  Args:
    have: tree of arrays or shapes on disk.
    want: tree of arrays or shapes that the model needs.
    where: path on disk, for the message.
    content: content of the path if the shapes differ, for the message.
    fix: advice to the user, for the message.
  """
  have, want = (
      {
          sharding.path_name(path): tuple(leaf.shape)
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
      }
      for tree in (have, want)
  )
  if wrong := errors.shape_differences(have, want):
    raise errors.InputError(f'{where}: holds {content}: {wrong}; {fix}')


def checksum(params: Any) -> str:
  """Returns the SHA-256 of all weights."""
  total = hashlib.sha256()
  for leaf in jax.tree.leaves(params):
    if not leaf.is_fully_addressable and not leaf.is_fully_replicated:
      leaf = multihost_utils.process_allgather(leaf, tiled=True)
    total.update(np.ascontiguousarray(jax.device_get(leaf)))
  return total.hexdigest()
