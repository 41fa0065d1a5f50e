"""Blocks, marks and commands of a page."""

import subprocess

import pytest

from tests.documentation import shell_blocks

PAGE = """\
# Title

<!-- walk: mkdir SOURCE
touch SOURCE/a -->

    D="--first=1
       --second=2"
    abaw-jax build $D \\
        --third=3  # the rest

Text with `abaw-jax train --config=mtl` and

```python
import abaw_jax
```

1. A list:

       for S in 0 1; do
         abaw-jax train --config.seed=$S && echo "done;$S"
       done

   <!-- walk -->
   ```sh
   V=(runs/{0,1})
   ls "${V[@]/#/--predictions=}" | sort > out.txt
   ```
"""


def test_blocks_have_their_line_text_and_mark():
  found = shell_blocks.blocks(PAGE)
  lines = PAGE.splitlines()
  assert [lines[b.line - 1].strip() for b in found] == [
      'D="--first=1',
      'for S in 0 1; do',
      'V=(runs/{0,1})',
  ]
  assert [b.walk for b in found] == ['mkdir SOURCE\ntouch SOURCE/a', None, '']
  assert found[1].text.splitlines()[1].startswith('  abaw-jax')
  assert [one.text for one in shell_blocks.spans(PAGE)] == [
      'abaw-jax train --config=mtl'
  ]


def test_commands_are_those_that_bash_runs():
  variables = {}
  found = [
      command.words
      for block in shell_blocks.blocks(PAGE)[:2]
      for command in shell_blocks.commands(block.text, variables)
      if command.words != ('done',)
  ]
  traced = subprocess.run(
      ['bash', '-c', 'abaw-jax() { :; }; set -x\n' + '\n'.join(
          block.text for block in shell_blocks.blocks(PAGE)[:2]
      )],
      capture_output=True,
      text=True,
      check=True,
  ).stderr.splitlines()  # fmt: skip
  for words in found:
    quoted = [f"'{word}'" if ';' in word else word for word in words]
    assert f'+ {" ".join(quoted)}' in traced
  assert found[0] == (
      'abaw-jax',
      'build',
      '--first=1',
      '--second=2',
      '--third=3',
  )


def test_an_array_gives_each_of_its_words_a_flag():
  text = shell_blocks.blocks(PAGE)[2].text
  assert ('ls', '--predictions=FILE') in [
      command.words for command in shell_blocks.commands(text)
  ]


def test_a_quote_without_its_end_is_an_error():
  with pytest.raises(ValueError, match='line 2: a quote'):
    shell_blocks.commands('abaw-jax train\nabaw-jax build "a\n')
