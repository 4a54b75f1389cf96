# janusd: everything a developer types. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:

# The newest Python from 3.11 on that can make virtual environments; PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  \033[1m%-22s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything pinned in constraints.txt

$(READY): pyproject.toml constraints.txt tests/setup.sh
	@bash tests/setup.sh "$(PYTHON)" "$(VENV)"
	@touch $@

demo: $(READY) ## watch a door: enrol three people who do not exist, then let a street walk past
	@$(BIN)/python -m janusd.demo

test: $(READY) ## unit, property and replay tests, with coverage (a few minutes)
	@$(BIN)/coverage erase
	$(BIN)/pytest -m "not slow" --cov --cov-report= tests
	@$(BIN)/coverage report --fail-under=90 --format=total | sed 's/^/coverage of janusd, per cent: /'

test-slow: $(READY) ## the longer tests: kills at every step, the door as a process, a story (a few minutes)
	$(BIN)/pytest -m slow tests

torture: $(READY) ## power cuts, failing disks, kills, crowds, tampering, a million messages; prints what was harmed (a quarter of an hour)
	@JANUS_TORTURE=1 $(BIN)/pytest -q -m slow tests/vault/test_vault_keeper.py tests/vault/test_vault_upgrade.py
	@PYTHONPATH=tests $(BIN)/python -m torture

torture-short: $(READY) ## a little of all that (about three minutes)
	@PYTHONPATH=tests $(BIN)/python -m torture --short

check: $(READY) lint test test-slow ## exactly what CI runs first: lint, types, contracts, tests

lint: $(READY) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY) ## let ruff put things in order
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: $(READY) ## frame to decision, stage by stage, on this machine
	@$(BIN)/python -m janusd.demo.bench

bench-latch: $(READY) ## kill and hang janusd and janus-latchd in mid-pulse: time to locked, memory, start
	@JANUS_RESTARTS=100 $(BIN)/pytest -q -rP tests/latchd/test_size.py tests/latchd/test_kernel.py \
		tests/latchd/test_process.py tests/latchd/test_restarts.py -k "size or kernel or dies_or_hangs or restarts"

man: $(READY) ## write docs/man anew: manual pages and shell completion, from what the programs are made of
	@$(BIN)/python -m janusd.manual .

deb: $(READY) ## a Debian package that installs without a network, in build/deb (DEB_PYTHON=3.13 DEB_ARCH=amd64)
	@# one time for all files: the same sources give the same package, byte for byte, and the rig keeps its disk
	@SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-1767225600} bash systemd/deb/build.sh $(BIN)/python build/deb

rig: deb ## our package in a machine of its own: systemd, GPIO, camera (root; half an hour, or PART="faces kills")
	@$(BIN)/python tests/system/rig.py build/deb/janusd.deb build/rig $(if $(PART),--only $(PART))

rig-short: $(READY) ## its parts that prove most in least time, with the kernel's own tests; builds the kernel where none is
	@bash tests/system/short.sh $(BIN)/python build

rig-arm64: $(READY) ## the released encoder on an emulated ARM processor: the same bytes as here
	@bash tests/system/arm64.sh $(BIN)/python build/rig-arm64

rig-kernel: ## build the rig's kernel, for machines without $$JANUS_RIG (17 minutes of a processor)
	@bash tests/system/kernel.sh build/rig/kernel

test-tflite-runtime: ## our models under the older tflite-runtime, beside ai-edge-litert (Python 3.11)
	@bash tests/setup.sh python3.11 .venv-tflite-runtime tflite-runtime
	.venv-tflite-runtime/bin/pytest -rP tests/hw/test_runtimes.py tests/hw/test_litert.py

setup-export: .venv-export/.ready ## make .venv-export: torch and friends, to train and compile networks (3 GB)

.venv-export/.ready: pyproject.toml tests/constraints-export.txt tests/setup.sh
	@bash tests/setup.sh "$(PYTHON)" .venv-export export
	@touch $@

test-export: setup-export ## the whole model pipeline on tiny networks, with torch
	@# anyio's plugin, there for others, warns about pytest
	.venv-export/bin/pytest -p no:anyio tests/export tests/detector

lock: ## resolve constraints.txt anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
		--group dev -c tests/constraints-lock.txt pyproject.toml -o constraints.txt
	printf 'systemd-python==235\n' >> constraints.txt

clean: ## remove what was made here, the virtual environments too
	rm -rf .venv .venv-export .venv-tflite-runtime .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* build dist

.PHONY: rig rig-short rig-arm64 rig-kernel deb help setup demo test test-slow torture torture-short check lint format man bench bench-latch test-tflite-runtime test-export setup-export lock clean
.DEFAULT_GOAL := help
