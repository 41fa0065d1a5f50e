"""Splits of a user's labels: given, or held out by person, video or image."""

from abaw_jax.core import choices, errors
from abaw_jax.data_builders.face_images import holdout
from abaw_jax.data_builders.labelled import listings
from abaw_jax.data_builders.labelled import rows as rows_lib

ALL = 'all'  # the split of a source without splits
SHARE = 0.1
_NAMES = {
    'train': 'train',
    'training': 'train',
    'val': 'validation',
    'valid': 'validation',
    'validation': 'validation',
    'dev': 'validation',
    'test': 'test',
}


def is_name(text: str) -> bool:
  """Returns whether a folder has the name of a split."""
  return text.lower() in _NAMES


def name(text: str) -> str:
  """Returns train, validation or test; raises ValueError for other names."""
  if not is_name(text):
    hint = choices.suggestion(text.lower(), _NAMES)
    raise ValueError(f'unknown split {text!r}; {hint}')
  return _NAMES[text.lower()]


def separate(listing: listings.Listing) -> None:
  """Makes the rows of a person or video that is in a later split problems."""
  order = [s for s in ('train', 'validation', 'test') if s in listing.rows]
  later = {}
  for split in reversed(order):
    kept = []
    for row in listing.rows[split]:
      group = row.person or row.video
      found = later.setdefault(group, (split, row)) if group else (split, row)
      if found[0] == split:
        kept.append(row)
        continue
      noun = 'person' if row.person else 'video'
      listing.fault(
          row.file,
          row.line,
          ValueError(
              f'{noun} {group} is also in {found[0]} ({found[1].file}:'
              f'{found[1].line}); keep each {noun} in one split'
          ),
      )
    listing.rows[split] = kept


def layout(
    listing: listings.Listing, share: float | None, source: object
) -> listings.Layout:
  """Returns the layout that divides a listing into train, validation and test.

  Args:
    listing: the rows by given split, or all rows as the split ALL.
    share: fraction of the people, videos or images to hold out; None: 0.1.
    source: folder or file, for messages.

  Raises:
    InputError: there is nothing to train on or to hold out, or a share is given
      although the source has a validation split.
  """
  rows = listing.rows
  origin = ALL if ALL in rows else 'train'
  if not rows.get(origin):
    first = f'; {listing.problems[0]}' if listing.problems else ''
    raise errors.InputError(f'{source}: no row with a label to train on{first}')
  test = {'test': 'test'} if 'test' in rows else {}
  description = 'Labels of a user.'
  if 'validation' in rows:
    if share is not None:
      raise errors.InputError(
          f'{source} has a validation split; leave --validation_share out'
      )
    given = {'train': 'train', 'validation': 'validation', **test}
    return listings.Layout(description, lambda _: listing, given)
  share = SHARE if share is None else share
  groups = {row.group for row in rows[origin]}
  if share and holdout.names(groups, share) == groups:
    raise errors.InputError(
        f'{source}: nothing is left to train on: --validation_share={share} holds'
        f' out all {len(groups)} people, videos or images; add a column split,'
        ' or pass another share (0 for no validation)'
    )
  held_out = {'train': origin, 'validation': origin, **test}
  return listings.Layout(description, lambda _: listing, held_out, share)


def held_out_note(rows: dict[str, list[rows_lib.Row]]) -> str:
  """Returns a line: validation is held out by person, by video or by image."""
  by = [
      noun
      for noun, found in {
          'person': any(row.person for row in rows.get('train', ())),
          'video': any(row.video for row in rows.get('train', ())),
      }.items()
      if found
  ]
  return f'validation is held out by {by[0] if by else "image"}'
