# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv first.
# TORCH_INDEX: a package index that serves torch's CPU wheels (several GB less to download).

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint bench-turn bench-layer bench-decode bench-tools bench-grammar bench-sandbox bench-gate doctor clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.installed ## Set everything up and run one audited turn
	@$(BIN)/agentkit demo

test: $(VENV)/.installed-dev ## Set everything up and run all tests and checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

test-all: export AGENTKIT_TEST_ALL = 1
test-all: test ## As test, with the long matrices in full

lint: $(VENV)/.installed-dev ## Formatting, types and floors only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench-turn: $(VENV)/.installed ## Where one turn's time goes
	$(BIN)/python benchmarks/turn.py

bench-layer: $(VENV)/.installed ## One expert layer against its peers and the machine's roof
	$(BIN)/python benchmarks/layer.py

bench-decode: $(VENV)/.installed ## Llama 4 end to end against its peers and the machine's bandwidth
	$(BIN)/python benchmarks/decode.py

bench-tools: $(VENV)/.installed ## How well the embedded model calls tools it was not trained on
	$(BIN)/python benchmarks/tools.py

bench-grammar: $(VENV)/.installed ## What the reply grammar costs a token of the embedded model
	$(BIN)/python benchmarks/grammar.py

bench-sandbox: $(VENV)/.installed ## Start and call times of both sandbox tiers
	$(BIN)/python benchmarks/sandbox.py

bench-gate: $(VENV)/.installed ## Does the gate hold against a model that obeys everyone
	$(BIN)/python benchmarks/gate.py

doctor: $(VENV)/.installed ## What this machine has, what is missing, and its cure
	@$(BIN)/agentkit doctor

clean: ## Remove the virtual environment and caches in this folder
	rm -rf $(VENV) .cache .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Each stage is stamped when it is complete, so an interrupted set-up goes on where it stopped.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "agentkit needs Python 3.11 or newer; try: make demo PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || \
	  { echo "python3 cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 2; }
	$(PIP) install --upgrade 'pip>=25.1'
	@touch $@

$(VENV)/.torch: $(VENV)/.created constraints.txt
	$(PIP) install $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --constraint constraints.txt torch
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[local,wasm,docker,policies]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --constraint constraints.txt --group test --group lint
	@touch $@
