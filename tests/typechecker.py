"""The type checker of tests: as PEP 484 says, an int may stand for a float."""

import beartype

check = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
