"""Numbers in text: Python's own parsing accepts more than a file may hold."""

import pytest

from abaw_jax.core import numbers

NOT_NUMBERS = (
    '', ' 1', '1 ', '1_0', '0.7_1', '\u0663', '\uff11', '0.\u0663', 'nan', 'inf', '-inf', '1e', '.',
    '--1', '0x1', '1,5', '1\n',
)  # fmt: skip


@pytest.mark.parametrize('text', NOT_NUMBERS)
def test_other_texts_are_refused(text):
  with pytest.raises(ValueError, match='is not a number'):
    numbers.number(text)
  with pytest.raises(ValueError, match='is not a whole number'):
    numbers.integer(text)


@pytest.mark.parametrize(
    'text', ['0', '-5', '+1', '0.25', '.5', '2.', '-1e-3', '1E4', '-5.0']
)
def test_numbers_are_those_of_python(text):
  assert numbers.number(text) == float(text)


def test_integers_have_no_point():
  assert [numbers.integer(text) for text in ('0', '-1', '007')] == [0, -1, 7]
  with pytest.raises(ValueError, match=r"'3.0' is not a whole number"):
    numbers.integer('3.0')
