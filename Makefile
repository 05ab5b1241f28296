# Five words to remember: up, test, check, bench, clean. Each does its own set-up.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin
READY := .venv/.ready
SERVE_LOG := .pytest-serve.log

# A test starts hundreds of processes. Without their bytecode on the disk each of them would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

# A gateway's background processes yield to all others. Where tests keep every processor busy, they would hardly run at all.
FAIRLY := nice -n 10

.PHONY: up test test-fast test-serve test-without-ray clients check lint types contracts proto soak bench lock sbom clean

up: $(READY) ## Start the gateway with the demo models in the foreground
	@$(BIN)/pointsman demo --with-parent

test: $(READY) ## All tests: pure, with a gateway, with foreign clients, and meanwhile those on a real Ray cluster
	@failed=0; $(MAKE) --no-print-directory --jobs=3 --keep-going clients test-serve test-without-ray || failed=$$?; \
		echo "tests/serve: $$(tail -n 1 $(SERVE_LOG))"; exit $$failed

test-without-ray: test-fast
	@$(FAIRLY) $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations=25 tests/conformance tests/integration

test-serve: $(READY) ## The tests on a real Ray cluster, which wait most of the time; they are shown when all are over
	@failed=0; $(FAIRLY) $(BIN)/python -m pytest --durations=25 tests/serve > $(SERVE_LOG) 2>&1 || failed=$$?; \
		echo; cat $(SERVE_LOG); exit $$failed

clients: $(READY) ## The environments of foreign clients and servers, which tests need; pip mostly waits for the network
	@nice -n 15 $(BIN)/python -m tests.conformance.environments

soak: $(READY) ## All that takes too long for every change (about four hours): bodies of all sizes, a million requests, floods, fuzzing
	@$(BIN)/python -m loadtests.soak
	@POINTSMAN_ALL_CASES=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/conformance tests/integration
	@POINTSMAN_ALL_CASES=1 $(BIN)/python -m pytest -n 2 --dist worksteal tests/unit
	@POINTSMAN_ALL_CASES=1 $(BIN)/python -m pytest tests/serve

test-fast: $(READY) ## The tests that need no Ray
	@$(FAIRLY) $(BIN)/python -m pytest -n 2 --dist worksteal tests/unit

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

sbom: ## A bill of materials of requirements.lock: sbom.json, as CycloneDX
	@rm -rf .venv-sbom && $(PYTHON) -m venv .venv-sbom
	@.venv-sbom/bin/pip install --quiet --quiet 'cyclonedx-bom>=7.5,<8'
	@.venv-sbom/bin/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-file sbom.json
	@rm -rf .venv-sbom

$(READY): pyproject.toml requirements.lock
	@command -v $(PYTHON) > /dev/null || { echo "Pointsman needs Python 3.11: install it, or name it with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON) is not Python 3.11: name it with make PYTHON=..."; exit 1; }
	@echo "· installing $$(wc -l < requirements.lock) pinned packages into .venv (about a minute) …" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --no-input --no-compile --requirement requirements.lock 2> .venv/install.err \
		| awk '/^Collecting|^Installing/ { printf "\r  %d collected  %-60.60s", ++n, $$2 > "/dev/stderr"; fflush("/dev/stderr") } END { print "" > "/dev/stderr" }' \
		|| { tail -20 .venv/install.err >&2; exit 1; }
	@$(BIN)/pip install --quiet --quiet --no-input --no-deps --editable .
	@touch $(READY)
	@echo "✓ installed" >&2

clean: ## Remove everything that was made here
	@rm -rf .venv .venv-lock .venv-sbom sbom.json .clients var .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis $(SERVE_LOG) .import_linter_cache build ./*.egg-info
