# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
WORKDIR ?= demo
BIN := $(VENV)/bin

.PHONY: demo test lint format clean
.DEFAULT_GOAL := demo

# Renders faces, trains every stage and prints P_MTL; WORKDIR=... chooses where.
demo: $(VENV)/.installed
	$(BIN)/python -m abaw_jax.demo --workdir=$(WORKDIR)

# In their order, files of few and slow tests are not all left to the end.
test: $(VENV)/.tested
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/pyink --check --quiet .

format: $(VENV)/.tested
	$(BIN)/ruff check --fix .
	$(BIN)/pyink --quiet .

clean:
	rm -rf $(VENV) $(WORKDIR)

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed requirements-test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@
