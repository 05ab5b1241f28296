# Five words to remember: up, test, check, bench, clean. Each does its own set-up.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: up test test-fast check lint types contracts proto soak bench lock clean

up: $(READY) ## Start the gateway with the demo models in the foreground
	@$(BIN)/pointsman demo --with-parent

test: $(READY) ## All tests: pure, with a gateway, with foreign clients, on a real Ray cluster
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/unit
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/integration tests/conformance
	@$(BIN)/python -m pytest tests/serve

soak: $(READY) ## All that takes too long for every change (about three hours): bodies of all sizes, a million requests, floods, fuzzing
	@$(BIN)/python -m loadtests.soak
	@POINTSMAN_ALL_CASES=1 $(BIN)/python -m pytest tests/integration/test_registry_faults.py tests/integration/test_registry_killed.py

test-fast: $(READY) ## The tests that need no Ray
	@$(BIN)/python -m pytest -n 2 --dist worksteal tests/unit

check: lint types contracts test ## What CI runs

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)
	@$(BIN)/mypy

contracts: $(READY)
	@$(BIN)/lint-imports

bench: $(READY) ## The gateway beside its peers, in one run (about 11 minutes; needs wrk and h2load)
	@$(BIN)/python -m loadtests.bench --json .bench/result.json

proto: $(READY) ## Generate the gRPC messages anew; a pool of their own keeps them apart from other users of the same names
	@$(BIN)/python -m grpc_tools.protoc -I gateway/protocols --python_out=gateway/protocols --pyi_out=gateway/protocols open_inference.proto rewards.proto
	@sed -i 's/_descriptor_pool\.Default()/_descriptor_pool.DescriptorPool()/' gateway/protocols/*_pb2.py

lock: ## Resolve requirements.lock anew from pyproject.toml
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/pip install --quiet --quiet --editable '.[dev]'
	@.venv-lock/bin/pip freeze --exclude-editable > requirements.lock
	@rm -rf .venv-lock

$(READY): pyproject.toml requirements.lock
	@command -v $(PYTHON) > /dev/null || { echo "Pointsman needs Python 3.11: install it, or name it with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON) is not Python 3.11: name it with make PYTHON=..."; exit 1; }
	@echo "· installing $$(wc -l < requirements.lock) pinned packages into .venv (about two minutes) …" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --no-input --requirement requirements.lock 2> .venv/install.err \
		| awk '/^Collecting|^Installing/ { printf "\r  %d collected  %-60.60s", ++n, $$2 > "/dev/stderr"; fflush("/dev/stderr") } END { print "" > "/dev/stderr" }' \
		|| { tail -20 .venv/install.err >&2; exit 1; }
	@$(BIN)/pip install --quiet --quiet --no-input --no-deps --editable .
	@touch $(READY)
	@echo "✓ installed" >&2

clean: ## Remove everything that was made here
	@rm -rf .venv .venv-lock .clients var .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build ./*.egg-info
