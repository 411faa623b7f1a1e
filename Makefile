# `make run` and `make test` set up .venv themselves; only Python 3.11+ and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The converter to TFLite brings more than a gigabyte and tensorrt-rtx a quarter of one, which only the tests
# cannot do without.
TEST_STAMP := $(VENV)/.installed-for-tests

.PHONY: run test lint bench clean

run: $(STAMP)
	$(BIN)/vitbench run --model effvit-b2 --target cpu --allow-inconclusive

# One thread each: the threads of four workers would spin for each other. In the order of tests/conftest.py: by
# the number of their tests, the files with few and long ones would come last. Bytecode is written wherever it
# is not yet, see below.
test: $(TEST_STAMP)
	OMP_NUM_THREADS=1 env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

lint: $(TEST_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(TEST_STAMP)
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.report_speed
	$(BIN)/python -m benchmarks.formulation
	$(BIN)/python -m benchmarks.fidelity

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "vitbench needs Python 3.11 or later: make PYTHON=/path/to/python3.11 run" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

# Thousands of their files are never imported, so each is compiled when it is.
$(TEST_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev,tflite,rtx]'
	touch $(TEST_STAMP)

clean:
	rm -rf $(VENV)
