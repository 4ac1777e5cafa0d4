# demo, test, lint and bench each set up what they need in .venv
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONTACT_SHEET ?= contact-sheet.html
# Own videos go into the default library (see `vsearch config`), the samples into one of their own.
LIBRARY ?= $(if $(VIDEOS),,indexes/demo)
PARALLEL := --numprocesses auto --maxprocesses 6 --dist worksteal
export VIDEOS QUERY CONTACT_SHEET LIBRARY CLIPS

.PHONY: demo test test-slow test-cluster lint format docs dist bench soak clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo  ## index and search sample clips, or VIDEOS=folder QUERY="words"
	@$(BIN)/vsearch $(if $(LIBRARY),--library "$$LIBRARY") demo --contact-sheet "$$CONTACT_SHEET" \
		$(if $(QUERY),--query "$$QUERY") $(if $(VIDEOS),-- "$$VIDEOS")

test: $(VENV)/.dev  ## all tests that take seconds
	$(BIN)/python -m pytest -m "not slow and not cluster" $(PARALLEL)

test-slow: $(VENV)/.dev  ## tests that take minutes: kills, memory, wheels
	$(BIN)/python -m pytest -m "slow and not cluster" $(PARALLEL)

test-cluster: $(VENV)/.cluster  ## tests with PostgreSQL, Milvus, S3 and Ray on this machine
	$(BIN)/python -m pytest -m cluster $(PARALLEL) --dist loadfile

lint: $(VENV)/.cluster  ## ruff and mypy, which reads the types of all extras
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Each writes its result to build/bench; `python -m benchmarks.table FILE...` updates the manual.
# bench_lancedb takes half an hour and is run separately.
BENCH := start query growth vectors neighbors filters memory serve
CLIPS_BENCH := indexing decode meanwhile

bench: $(VENV)/.bench  ## measure speed; CLIPS=folder (with clips.jsonl): also what needs videos
	@mkdir -p build/bench
	@for name in $(BENCH); do \
		echo "== $$name"; \
		$(BIN)/python -m benchmarks.bench_$$name --json build/bench/$$name.json || exit 1; \
	done
	@test -n "$$CLIPS" || echo "Skipped the benchmarks that need videos; run make bench CLIPS=folder"
	@test -z "$$CLIPS" || for name in $(CLIPS_BENCH); do \
		echo "== $$name"; \
		$(BIN)/python -m benchmarks.bench_$$name "$$CLIPS" --json build/bench/$$name.json || exit 1; \
	done
	@test -z "$$CLIPS" || $(BIN)/python -m benchmarks.bench_ranking "$$CLIPS" --json build/bench/ranking.json

# Films in 20 formats are damaged, commands killed, disks filled, libraries swapped under a server.
MINUTES ?= 10
soak: $(VENV)/.dev  ## break things for MINUTES=10 and compare the answers; SEED=1
	@$(BIN)/python -m benchmarks.soak --minutes $(MINUTES) --seed $(or $(SEED),1)

docs: $(VENV)/.docs  ## build the manual into site/; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dist: $(VENV)/.dist  ## build the wheel and the source archive into dist/
	$(BIN)/python -m build
	@echo "Install it: pipx install dist/vsearch-*.whl   or: uv tool install dist/vsearch-*.whl"

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist site

# Debian ships venv without ensurepip unless python3-venv is installed; pip can fill the gap.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"vsearch needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --quiet --python $(BIN)/python install pip; }

$(VENV)/.demo: $(BIN)/python pyproject.toml
	@echo "Installing vsearch …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	@echo "Installing vsearch with what its tests need (torch among it: this takes a while) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.cluster: $(VENV)/.dev
	@echo "Installing the servers of the cluster tests …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,cluster-test]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@touch $@

$(VENV)/.dist: $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'build>=1.2'
	@touch $@

$(VENV)/.docs: $(BIN)/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@
