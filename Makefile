# Each target needs only python3 (3.9 or newer, with venv) and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for processes, sockets and clocks a part of their time.
WORKERS := $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) * 3 // 2 or 1)')

.PHONY: demo check test test-all coverage fuzz mutations soak docs pictures servers tools lint bench clean

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

# For the loop while writing: about a minute. Tests that start an API, an agent, a git host or pre-commit are left out.
CHECKED := $(addprefix tests/,core git prefect_api report deploy hooks commands test_architecture.py test_readme.py)
check: lint
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m 'not slow and not service' $(CHECKED)

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not slow'

# Also what needs minutes, every Python from 3.9 to 3.13 that is on PATH, and the oldest dependencies that are allowed.
test-all: lint
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
	$(BIN)/python tests/every_python.py

# Branches of the package that `make test` takes, in all processes; about twice as long as `make test`.
coverage: $(VENV)/installed
	$(BIN)/python -m tests.coverage $(COVERAGE)

# Twenty times as many examples as `make test` has, each time other ones.
FUZZ ?= 20
fuzz: $(VENV)/installed
	GIT_PREFECT_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/fuzz

# Break the product in each way of tests/mutations.txt, in a copy, and see a test fail. MUTATIONS=plan.py for some of them.
mutations: $(VENV)/installed
	$(BIN)/python -m tests.mutations $(MUTATIONS)

# Pages that are made from the code. What their examples print is put in by tests/docs (`make docs` runs them all).
docs: $(VENV)/installed
	$(BIN)/python -m git_prefect.core.findings > docs/findings.md
	$(BIN)/python docs/manual.py > docs/git-prefect.1
	$(BIN)/python -m tests.docs

pictures: $(VENV)/installed
	$(BIN)/python -m tests.docs.pictures

# 500 kills at any step, and 200 rounds of races: about half an hour on two cores. SOAK='--kills 50 --rounds 20' for less.
soak: $(VENV)/installed
	$(BIN)/python -m tests.soak $(SOAK)

# The git hosts that some tests push to (Debian, Ubuntu). Quick, and without network, where they are installed.
SERVERS := nginx:nginx fcgiwrap:fcgiwrap sshd:openssh-server ssh-keygen:openssh-client
servers:
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; missing=; \
	for one in $(SERVERS); do command -v $${one%:*} >/dev/null || missing="$$missing $${one#*:}"; done; \
	if [ -z "$$missing" ]; then echo "all servers are installed"; exit; fi; \
	sudo=; if [ "$$(id -u)" -ne 0 ]; then sudo=sudo; fi; set -x; \
	$$sudo apt-get update && $$sudo apt-get install --yes --no-install-recommends $$missing

# The hook managers that some tests push through: husky and lefthook by npm, below .tools, and git-lfs (Debian, Ubuntu).
TOOLS := husky@9.1.7 lefthook@1.13.6
tools: .tools/$(subst @,-,$(subst $() ,_,$(TOOLS)))
	@if command -v git-lfs >/dev/null; then echo "all tools are installed"; exit; fi; \
	sudo=; if [ "$$(id -u)" -ne 0 ]; then sudo=sudo; fi; set -x; \
	$$sudo apt-get update && $$sudo apt-get install --yes --no-install-recommends git-lfs

.tools/$(subst @,-,$(subst $() ,_,$(TOOLS))):
	npm install --no-audit --no-fund --no-save --ignore-scripts --prefix .tools $(TOOLS)
	touch $@

# About a quarter of an hour on two cores that do nothing else. BENCH=--keep writes benchmarks/RESULTS.md.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/all.py $(BENCH)

clean:
	rm -rf $(VENV) .tools build hooks/*.egg-info .mypy_cache .pytest_cache .ruff_cache
