"""Tests, and their type checker: an int may stand for a float (PEP 484)."""

import beartype

check_types = beartype.beartype(
    conf=beartype.BeartypeConf(is_pep484_tower=True)
)
