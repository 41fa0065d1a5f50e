"""Runs a function for many shards, in local processes or on Apache Beam."""

from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
import functools
import multiprocessing
import os
import threading

import cv2

from abaw_jax.core import errors, failures, progress_bars
from abaw_jax.data_builders.face_images import plan as plan_lib

Task = Callable[[plan_lib.Plan, int], None]


def run_locally(
    task: Task, plan: plan_lib.Plan, indices: Sequence[int], *, num_workers: int
) -> None:
  """Runs the task for every index in `num_workers` processes."""
  progress = functools.partial(
      progress_bars.make, desc='Writing', total=len(indices), unit='shards'
  )
  num_workers = min(num_workers, len(indices))
  if num_workers <= 1:
    for index in progress(indices):
      task(plan, index)
    return
  pool = futures.ProcessPoolExecutor(
      num_workers,
      mp_context=multiprocessing.get_context('spawn'),
      initializer=_start_worker,
  )
  try:
    with (
        failures.hide_ctrl_c_from_workers()
    ):  # the parent waits for their shards
      jobs = [pool.submit(task, plan, index) for index in indices]
    for job in progress(futures.as_completed(jobs)):
      job.result()
  except futures.process.BrokenProcessPool as error:
    raise errors.InputError(
        f'{plan.folder}: a worker process was killed, perhaps because memory was'
        ' full; run the same command again with a lower --num_workers to continue'
    ) from error
  finally:
    pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
  """Ends a worker with its parent, and limits it to one core."""
  cv2.setNumThreads(1)
  parent = multiprocessing.parent_process()

  def leave() -> None:
    parent.join()
    os._exit(1)

  threading.Thread(target=leave, daemon=True).start()


def run_on_beam(
    task: Task,
    plan: plan_lib.Plan,
    indices: Sequence[int],
    *,
    runner: str,
    options: Mapping[str, str],
) -> None:
  """Runs the task for every index on a runner of Apache Beam.

  The workers need this package, and the same paths for the source and the data
  folder.
  """
  try:
    import apache_beam as beam
    from apache_beam.options import pipeline_options
  except ImportError as error:
    raise errors.InputError(
        f'--beam_runner={runner}: Apache Beam is not installed; run `pip'
        " install 'abaw_jax[beam]'`"
    ) from error
  flags = [f'--{name}={value}' for name, value in options.items()]
  try:
    pipeline = beam.Pipeline(
        runner=runner, options=pipeline_options.PipelineOptions(flags)
    )
  except ValueError as error:
    raise errors.InputError(f'--beam_runner={runner}: {error}') from error
  with pipeline:
    _ = (
        pipeline
        | beam.Create(list(indices))
        | 'Shards' >> beam.Map(functools.partial(task, plan))
    )
