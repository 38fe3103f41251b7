# make demo · make test · make lint: each sets up what it needs, once. `make` alone lists everything.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
ARGS ?=
# Every script of benchmarks/ that measures; the others are what it starts or shares.
BENCH ?= $(filter-out by_hand publisher stage,$(basename $(notdir $(wildcard benchmarks/*.py))))
BASE_WHEELS := x86_64 aarch64

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test lint soak bench recordings lock wheels-check

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/demo.ready  ## the main job with recorded streams: make demo ARGS="--headless --seconds 30"
	@$(BIN)/zhiwang demo $(ARGS)

test: .venv/dev.ready .venv/servers.ready  ## every test, with real servers: make test ARGS="-k outbox"
	$(BIN)/pytest -m "not soak" $(ARGS)

lint: .venv/dev.ready  ## ruff, pyright, import-linter, vulture
	@failed=; for check in "ruff check" "ruff format --check" pyright lint-imports vulture; do \
	  echo "── $$check"; $(BIN)/$$check || failed="$$failed $${check%% *}"; \
	done; [ -z "$$failed" ] || { echo "lint failed:$$failed" >&2; exit 1; }

# In two halves beside each other, for most of either is waiting; that one collects nothing for ARGS="-k …" is no failure.
soak: .venv/dev.ready .venv/servers.ready  ## the long form of the tests
	@said=$$(mktemp) && trap 'rm -f "$$said"' EXIT && \
	{ $(BIN)/pytest -m soak --timeout 0 tests/faults $(ARGS) >"$$said" 2>&1 & } && faults=$$! && \
	{ $(BIN)/pytest -m soak --timeout 0 --ignore tests/faults $(ARGS); others=$$?; \
	wait $$faults; faults=$$?; cat "$$said"; \
	for result in $$faults $$others; do [ $$result = 0 ] || [ $$result = 5 ] || exit $$result; done; }

bench: .venv/dev.ready .venv/servers.ready  ## the figures of the README, one after another: make bench BENCH=ingest
	@set -e; for one in $(BENCH); do echo "── benchmarks/$$one.py"; $(BIN)/python benchmarks/$$one.py $(ARGS); done

recordings: .venv/dev.ready  ## makes tests/recordings anew: make recordings ARGS="flood restart"
	$(BIN)/python -m tests.recordings.make $(ARGS)

lock: .venv/dev.ready  ## makes requirements/*.txt anew from pyproject.toml
	$(PIP) install uv
	$(BIN)/uv pip compile -q pyproject.toml requirements/build.in --extra vision --extra console --extra analysis \
	  --extra openvino --extra evidence --extra demo --extra dev \
	  --universal --python-version 3.11 --generate-hashes --only-binary :all: --no-annotate --no-header --no-emit-index-url \
	  --output-file requirements/dev.txt
	$(BIN)/uv pip compile -q pyproject.toml requirements/build.in --extra vision --extra console --extra demo \
	  --universal --python-version 3.11 --generate-hashes --only-binary :all: --no-annotate --no-header --no-emit-index-url \
	  --constraint requirements/dev.txt --output-file requirements/demo.txt

wheels-check: .venv/demo.ready  ## every base dependency has wheels for x86-64 and aarch64
	@there=$$(mktemp -d) && trap 'rm -rf "$$there"' EXIT && \
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
	  >"$$there/base.txt" && \
	for machine in $(BASE_WHEELS); do \
	  $(PIP) download --only-binary=:all: --platform manylinux_2_28_$$machine --platform manylinux2014_$$machine \
	    --python-version 3.11 -r "$$there/base.txt" -d "$$there/$$machine" || exit 1; \
	  echo "$$machine: $$(ls "$$there/$$machine" | wc -l) wheels"; \
	done

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "found $$($(PYTHON) --version), python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The lock pins what is installed here, with hashes; the project itself goes in as editable, without fetching anything.
.venv/%.ready: requirements/%.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes --only-binary :all: -r $<
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/servers.ready: requirements/debian.txt requirements/install-debian.sh | $(BIN)/python
	@sh requirements/install-debian.sh
	@touch $@
