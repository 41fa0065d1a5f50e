"""Tables of text keep their columns apart."""

from abaw_jax.core import text_table

ROWS = [('', 'a', 'long'), ('name', '1.5', '2')]


def test_columns_are_aligned():
  assert text_table.aligned(ROWS) == ['        a  long', 'name  1.5     2']
  assert text_table.aligned(ROWS, '<') == ['      a    long', 'name  1.5  2']


def test_markdown_has_a_line_below_the_names():
  assert text_table.markdown(ROWS) == [
      '|  | a | long |', '| --- | --- | --- |', '| name | 1.5 | 2 |'
  ]  # fmt: skip
