"""Writes one shard and its card; the runners call these functions.

The file of a shard appears after its card, when it is complete. So if the file
exists, both are complete. A killed process leaves a *.tmp file.
"""

import base64
from collections.abc import Iterator
import contextlib
import hashlib
import json
import os
import pathlib
from typing import Any

from array_record.python import array_record_module
import numpy as np

from abaw_jax.core import files, fingerprint
from abaw_jax.data_builders import images, problems
from abaw_jax.data_builders.face_images import features, image_encoding
from abaw_jax.data_builders.face_images import plan as plan_lib
from abaw_jax.data_builders.face_images.sources import entries as entries_lib
from abaw_jax.data_builders.face_images.sources import stores

_HASH_BYTES = 16
_RECORDS_AT_ONCE = 64


def write_shard(plan: plan_lib.Plan, index: int) -> None:
  """Writes or replaces the shard of a plan and its card.

  Memory does not depend on the number of images, which are read one by one. The
  card lists the bad images. If there are any and `plan.on_error` is 'fail', the
  shard is not written, so that the next build tries it again.
  """
  shard = plan.shards[index]
  labels = {name: i for i, name in enumerate(plan.people())}
  fields = features.make(labelled=bool(labels))
  hashes, bad, faults = [], [], []
  total = fingerprint.Digest()
  with (
      files.replacing(plan.file(shard)) as draft,
      stores.Reader(plan.source) as reader,
  ):
    with _writing(draft) as writer:
      for place, entry in enumerate(plan.entries(shard)):
        try:
          data = reader.read(entry)
          image = image_encoding.store(data, plan.face_size)
        except images.BrokenImage as error:
          bad.append(place)
          faults.append(entry.problem(str(error)))
          continue
        label = labels[entry.group] if labels else None
        record = features.serialize(fields, image, entry.name, label)
        writer.write(record)
        total.add(features.parse(record))
        hashes.append(hashlib.blake2b(data, digest_size=_HASH_BYTES).digest())
    card = {
        'hashes': base64.b64encode(b''.join(hashes)).decode(),
        'bad': bad,
        'problems': faults,
        'digest': total.summary(),
    }
    files.write(plan.card(shard), json.dumps(card))
    if faults and plan.on_error == 'fail':
      draft.unlink()


def drop_records(plan: plan_lib.Plan, index: int) -> None:
  """Writes a shard again without the records at the places in its drop list."""
  shard = plan.shards[index]
  path = plan.file(shard)
  dropped = set(json.loads(plan.drops(shard).read_text()))
  reader = array_record_module.ArrayRecordReader(os.fspath(path))
  count = reader.num_records()
  # The card keeps the hashes of dropped records, so a smaller count means that
  # the records of this shard were dropped before.
  if count > len(hashes(plan, index)) - len(dropped):
    total = fingerprint.Digest()
    with files.replacing(path) as draft, _writing(draft) as writer:
      for start in range(0, count, _RECORDS_AT_ONCE):
        stop = min(start + _RECORDS_AT_ONCE, count)
        for place, record in enumerate(reader.read(start, stop), start):
          if place not in dropped:
            writer.write(record)
            total.add(features.parse(record))
      # Not later: the new shard is complete together with its digest.
      card = _card(plan, index) | {'digest': total.summary()}
      files.write(plan.card(shard), json.dumps(card))
  reader.close()


def hashes(plan: plan_lib.Plan, index: int) -> np.ndarray:
  """Returns the hash of the source bytes of every record, 'S16' [n]."""
  data = base64.b64decode(_card(plan, index)['hashes'])
  return np.frombuffer(data, f'S{_HASH_BYTES}')


def faults(plan: plan_lib.Plan, index: int) -> list[problems.Problem]:
  """Returns the problems of the images of a shard."""
  return [problems.Problem(*f) for f in _card(plan, index)['problems']]


def digest(plan: plan_lib.Plan, index: int) -> dict[str, Any]:
  """Returns the digest of the records that a shard has now."""
  return _card(plan, index)['digest']


def entries(plan: plan_lib.Plan, index: int) -> list[entries_lib.Entry]:
  """Returns the images of the records of a shard, including dropped ones."""
  bad = set(_card(plan, index)['bad'])
  found = enumerate(plan.entries(plan.shards[index]))
  return [entry for place, entry in found if place not in bad]


def _card(plan: plan_lib.Plan, index: int) -> dict[str, Any]:
  return json.loads(plan.card(plan.shards[index]).read_text())


@contextlib.contextmanager
def _writing(
    path: pathlib.Path,
) -> Iterator[array_record_module.ArrayRecordWriter]:
  """Yields a writer of a file whose records can be read one by one."""
  writer = array_record_module.ArrayRecordWriter(
      os.fspath(path), 'group_size:1'
  )
  try:
    yield writer
  finally:
    writer.close()
