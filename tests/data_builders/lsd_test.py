"""LSD: its class folders, its test list, and trees that are broken."""

import shutil

import pytest

from abaw_jax.core import errors
from abaw_jax.data_builders import check
from abaw_jax.data_builders.lsd import counts
from tests.data_builders import labelled_tree as tree

TRAIN = 'training_set_synthetic_images'
VALIDATION = 'validation_set_real_images'
LIST = 'LSD_Challenge_test_set_release.txt'
# Submission code -> index in the order of s-Aff-Wild2.
OURS = {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6}


@pytest.mark.parametrize('anger', ['ANGRER', 'ANGERE', 'ANGER', 'anger'])
def test_rows_labels_and_image_bytes(tmp_path, anger):
  source = tree.lsd(tmp_path / 'source', anger)
  tree.run('lsd', source, tmp_path)
  found = tree.read(tmp_path, 'lsd/frames')
  for split, folder, per_class in (
      ('train', TRAIN, 2),
      ('validation', VALIDATION, 1),
  ):
    assert sorted(found[split]) == list(range(6 * per_class))
    for row, record in found[split].items():
      code = row // per_class
      assert (record['label'], record['expression']) == (code, OURS[code])
      assert record['expr']
      assert not record['va']
      assert not record['au_mask'].any()
      name = record['video'].decode()
      assert name.startswith(
          f'{folder}/{(anger, *tree.LSD_CLASSES[1:])[code]}/'
      )
      assert record['image'] == (source / name).read_bytes()
  assert sorted(found['test']) == [0, 1, 2]
  for row, record in found['test'].items():
    assert record['video'] == f'{(2, 0, 1)[row]}.jpg'.encode()
    assert (record['label'], record['expression'], record['expr']) == (
        -1,
        -1,
        False,
    )
    image = source / 'lsd_test_data' / record['video'].decode()
    assert record['image'] == image.read_bytes()


def test_check_compares_the_counts_of_the_release(tmp_path, capsys):
  source = tree.lsd(tmp_path)
  assert not check.check('lsd', source_dir=source)
  lines = [line.split() for line in capsys.readouterr().out.splitlines()]
  for split, rows, fear in (
      ('2', '277,251', '10,923'), ('1', '4,670', '523'), (None, '106,120', None)
  ):  # fmt: skip
    n = 6 * int(split) if split else 3
    assert ['rows', str(n), rows, 'differs'] in lines
    if split:
      assert ['Fear', split, fear, 'differs'] in lines
  assert check.check('lsd', source_dir=source, subset=True, decode=True)


def test_published_classes_add_up():
  parts = counts.PUBLISHED['frames']
  for split in ('train', 'validation'):
    assert 2 * parts[split]['rows'] == sum(parts[split].values())


def broken_image(source):
  path = source / TRAIN / 'FEAR/1.jpg'
  path.write_bytes(path.read_bytes()[:200])


def unknown_class(source):
  tree.put(source / VALIDATION / 'NEUTRAL/1.jpg', tree.pixels(99))


def repeated_id(source):
  tree.write(
      source / LIST, 'image,expression', '2.jpg', '0.jpg', '1.jpg', '0.jpg'
  )


def missing_image(source):
  (source / 'lsd_test_data/0.jpg').unlink()


def labelled_list(source):
  tree.write(source / LIST, 'image,expression', '2.jpg', '0.jpg,3', '1.jpg')


@pytest.mark.parametrize(
    ('damage', 'line'),
    [
        (broken_image, f'{TRAIN}/FEAR: image {TRAIN}/FEAR/1.jpg: '),
        (
            unknown_class,
            f"{VALIDATION}/NEUTRAL: class 'NEUTRAL' is not one of ANGER, DISGUST,"
            ' FEAR, HAPPINESS, SADNESS, SURPRISE; rename or remove it',
        ),
        (
            repeated_id,
            f'{LIST}:5: image 0.jpg is also in line 3; remove one of the lines',
        ),
        (missing_image, f'{LIST}:3: image 0.jpg: missing in'),
        (labelled_list, f'{LIST}:3: 2 values; use the list of the release'),
    ],
)  # fmt: skip
def test_a_problem_is_one_line_and_can_be_skipped(
    tmp_path, capsys, damage, line
):
  source = tree.lsd(tmp_path / 'source')
  damage(source)
  with pytest.raises(errors.InputError) as caught:
    tree.run('lsd', source, tmp_path)
  head, problem = str(caught.value).split('\n')
  assert head.startswith(f'1 problem in {source}; ')
  assert problem.startswith(f'  {line}')
  assert not (tmp_path / 'lsd').exists()
  assert not check.check('lsd', source_dir=source, subset=True, decode=True)
  assert f'  {line}' in capsys.readouterr().out
  tree.run('lsd', source, tmp_path, on_error='skip')
  (skipped,) = tree.metadata(tmp_path, 'lsd/frames')['skipped']
  assert skipped['file'] == line.split(':')[0]


def no_list(source):
  (source / LIST).unlink()


def no_validation(source):
  shutil.rmtree(source / VALIDATION)


def twice_anger(source):
  tree.put(source / TRAIN / 'ANGER/1.jpg', tree.pixels(99))


def a_file(source):
  (source / TRAIN / 'README').write_text('x')
  shutil.rmtree(source / TRAIN / 'FEAR')
  (source / TRAIN / 'FEAR').write_text('x')


def no_test_line(source):
  tree.write(source / LIST, 'image,expression')


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (no_list, f'source/{LIST}: missing; copy the test list of the release'),
        (
            no_validation,
            f'source: no folder {VALIDATION}; set --source_dir to the folder that'
            f' holds {TRAIN}, {VALIDATION} and lsd_test_data',
        ),
        (
            twice_anger,
            f'source/{TRAIN}/ANGRER: ANGER is the same class; keep one',
        ),
        (a_file, f'source/{TRAIN}/FEAR: it is a file; expected a folder'),
        (no_test_line, 'no line of test can be used'),
    ],
)
def test_a_wrong_folder_is_one_line(tmp_path, damage, message):
  source = tree.lsd(tmp_path / 'source')
  damage(source)
  with pytest.raises(errors.InputError) as caught:
    tree.run('lsd', source, tmp_path)
  assert message in str(caught.value)
  assert '\n' not in str(caught.value)


def test_the_list_may_be_with_the_images(tmp_path):
  source = tree.lsd(tmp_path)
  (source / LIST).rename(source / 'lsd_test_data' / LIST)
  assert check.check('lsd', source_dir=source, subset=True)
