"""The device mesh, and the sharding of batches and parameters."""

from collections.abc import Mapping, Sequence
import math
import re
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Shaped
import numpy as np

from abaw_jax.core import errors
from abaw_jax.models.layers import batch_sharding

# (pattern of the path, axis to split, axes of the mesh); the first match
# counts. An axis that the devices do not divide stays replicated. In a block,
# the rules split the axis that is not the residual stream's: the stream is
# split over the batch, and another split of its axis would move gradients
# between devices. Classes of identities are many: they are split over all
# devices. The rows of a carry are on the same devices as the rows of the
# batches.
RULES = (
    (r'^carry/', 0, batch_sharding.BATCH_AXES),
    (r'(^|/)classes/(kernel|bias)$', -1, batch_sharding.BATCH_AXES),
    (r'(qkv|fc1|affine|embed|decoder_pred)/(kernel|lora_b)$', -1, ('fsdp',)),
    (r'(proj|fc2)/(kernel|lora_a)$', -2, ('fsdp',)),
)
# Smaller leaves, and vectors, have a copy on every device of the axis `zero`.
_MIN_ZERO_SIZE = 2**10


def make_mesh(
    *, fsdp: int, zero: int = 1, devices: Sequence[Any] | None = None
) -> Mesh:
  """Returns a mesh of devices with axes `data`, `zero` and `fsdp`.

  Args:
    fsdp: number of devices that share each parameter.
    zero: number of devices, or of groups of `fsdp` devices, that share the
      weights and moments between two steps; every step gathers the weights once.
    devices: devices of the mesh; None means all.

  Raises:
    InputError: `fsdp` times `zero` does not divide the number of devices in a
      slice.
  """
  return Mesh(
      arrange(devices or jax.devices(), fsdp=fsdp, zero=zero),
      batch_sharding.BATCH_AXES,
      # With explicit axes, JAX would compile a step twice.
      axis_types=(AxisType.Auto,) * len(batch_sharding.BATCH_AXES),
  )


def arrange(devices: Sequence[Any], *, fsdp: int, zero: int = 1) -> np.ndarray:
  """Returns the devices as an array [data, zero, fsdp].

  Parameters and moments are split only inside a slice (a TPU slice or a GPU
  node), because its interconnect is fast. Only the axis `data` crosses slices.

  Raises:
    InputError: `fsdp` times `zero` does not divide the number of devices in a
      slice.
  """
  slices = len({getattr(device, 'slice_index', 0) for device in devices})
  count = len(devices) // slices
  if count % (fsdp * zero):
    where = f' of each of {slices} slices' if slices > 1 else ''
    value = f'zero={zero} x fsdp={fsdp}' if zero > 1 else f'fsdp={fsdp}'
    raise errors.InputError(
        f'config.mesh.{value} does not divide the {count} devices{where}: '
        'choose a divisor'
    )
  shape = (count // (fsdp * zero), zero, fsdp)
  # For example, 8 of the 16 devices along an axis of a TPU slice.
  split = {'allow_split_physical_axes': True}
  if slices == 1:
    return mesh_utils.create_device_mesh(shape, devices, **split)
  return mesh_utils.create_hybrid_device_mesh(
      shape, (slices, 1, 1), devices, **split
  )


def replicated(mesh: Mesh) -> NamedSharding:
  """Returns the sharding with a full copy on every device."""
  return NamedSharding(mesh, PartitionSpec())


def over_batch(mesh: Mesh) -> NamedSharding:
  """Returns the sharding that splits the leading axis over all devices."""
  return NamedSharding(mesh, PartitionSpec(batch_sharding.BATCH_AXES))


def path_name(path: tuple[Any, ...]) -> str:
  """Returns a tree path as `encoder/blocks_0/attn/qkv/kernel`."""
  return jax.tree_util.keystr(path, simple=True, separator='/')


def state_shardings(state: Any, mesh: Mesh, *, gathered: bool = False) -> Any:
  """Returns a tree of shardings for a training state or its shapes.

  The path of an optimizer moment ends in the path of its parameter, so both
  have the same sharding.

  Args:
    state: tree of arrays or their shapes.
    mesh: mesh with the axes of `make_mesh`.
    gathered: whether the state is gathered over the axis `zero`, as the weights
      during a step.
  """

  def place(path, leaf):
    spec = [()] * leaf.ndim
    for pattern, axis, over in RULES:
      size = math.prod(mesh.shape[name] for name in over)
      if size == 1 or not re.search(pattern, path_name(path)):
        continue
      if leaf.ndim > max(axis, -axis - 1) and leaf.shape[axis] % size == 0:
        spec[axis] = over
      break
    used = [name for over in spec for name in over]
    is_matrix = leaf.ndim > 1 and leaf.size >= _MIN_ZERO_SIZE
    if is_matrix and not gathered and 'zero' not in used:
      _split_over_zero(spec, leaf.shape, mesh)
    names = [over[0] if len(over) == 1 else over or None for over in spec]
    while names and names[-1] is None:
      names.pop()
    return NamedSharding(mesh, PartitionSpec(*names))

  return jax.tree_util.tree_map_with_path(place, state)


def _split_over_zero(spec, shape, mesh) -> None:
  """Adds `zero` to one axis; the parts are full tiles of a TPU if possible."""
  zero = mesh.shape['zero']
  axes = [
      axis
      for axis in range(len(shape))
      if not spec[axis] and shape[axis] % zero == 0
  ]
  # A tile of bfloat16 has 16 x 128 elements. Without full tiles, XLA replaces the
  # gather and the scatter by larger collectives.
  tiles = (1,) * (len(shape) - 2) + (16, 128)
  full = [i for i in axes if shape[i] % (zero * tiles[i - len(shape)]) == 0]
  if zero > 1 and axes:
    spec[(full or axes)[0]] = ('zero',)


def constrain(tree: Any, *, gathered: bool) -> Any:
  """Returns a tree of parameters or gradients with the shardings of a state.

  Outside of a mesh, nothing changes.

  Args:
    tree: arrays that are being traced.
    gathered: see `state_shardings`.
  """
  mesh = jax.sharding.get_abstract_mesh()
  if mesh.empty or mesh.shape['zero'] == 1:
    return tree
  return jax.lax.with_sharding_constraint(
      tree, state_shardings(tree, mesh, gathered=gathered)
  )


def check_batch(
    batch_size: int, mesh: Mesh, field: str, *, microbatches: int = 1
) -> None:
  """Raises an InputError if the devices do not divide a batch evenly."""
  if batch_size % (mesh.size * microbatches):
    parts = f', {microbatches} microbatches each' if microbatches > 1 else ''
    raise errors.InputError(
        f'{field}={batch_size} is not a multiple of the {mesh.size} devices'
        f'{parts}: choose a multiple'
    )


def with_shardings(shapes: Any, shardings: Any) -> Any:
  """Returns the `jax.ShapeDtypeStruct`s of a tree with these shardings."""
  return jax.tree.map(
      lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
      shapes,
      shardings,
  )


def to_devices(
    batch: Mapping[str, np.ndarray], sharding: NamedSharding
) -> dict[str, jax.Array]:
  """Returns the global batch; every process gives its own rows."""
  return {
      key: jax.make_array_from_process_local_data(sharding, value)
      for key, value in batch.items()
  }


def in_process_order(
    rows: Shaped[np.ndarray, 'b *d'], mesh: Mesh
) -> Shaped[np.ndarray, 'b *d']:
  """Returns the rows of process 0, then those of process 1, and so on.

  The devices of a process are not always neighbors in a mesh of a TPU slice, and a
  global batch has the order of the mesh.

  Args:
    rows: one for each row of a batch of `to_devices`.
    mesh: the mesh over which the batch is split.
  """
  processes = [device.process_index for device in mesh.devices.flat]
  parts = rows.reshape(mesh.size, -1, *rows.shape[1:])
  return parts[np.argsort(processes, kind='stable')].reshape(rows.shape)
