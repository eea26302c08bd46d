# Each target needs only python3 (3.9 or newer, with venv) and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint bench clean

$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[demo,test]'
	touch $@

demo: $(VENV)/installed
	@$(BIN)/python demo/demo.py $(if $(KEEP),--keep)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -m 'not slow'

# Also what needs minutes, and every Python that is on PATH.
test-all: lint
	$(BIN)/python -m pytest

bench: $(VENV)/installed
	$(BIN)/python benchmarks/push.py
	$(BIN)/python benchmarks/validate.py

clean:
	rm -rf $(VENV) build hooks/*.egg-info .mypy_cache .pytest_cache .ruff_cache
