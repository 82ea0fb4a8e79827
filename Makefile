# Everything runs in .venv, which is made once; afterwards no network is needed.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/ready
DATA ?=
LINES ?= 100000
SEED ?= 1

.PHONY: help setup demo test check fuzz soak golden lint types coverage bench bench-logs bench-detection reproduce docs data clean

help:
	@echo "make demo      score the sample data and show what was flagged"
	@echo "make test      run the tests, on all cores;  make check  what CI runs: test, lint, types, a short fuzz, demo"
	@echo "make fuzz LINES=100000 SEED=1  hostile records through every format; a fault is told with its smallest input"
	@echo "make soak      memory over millions of records on every default path"
	@echo "make lint      ruff;  make types  mypy;  make coverage  tests with kernels interpreted"
	@echo "make bench     measure speed, latency, memory and calibration"
	@echo "make bench-logs DATA=FOLDER  findings in the real logs of a folder (loghub, weblogs, cloudtrail)"
	@echo "make bench-detection DATA=FOLDER  labelled streams of a folder, ours and peers, into docs/benchmarks.md (hours; resumes)"
	@echo "make reproduce [DATA=FOLDER]  the article's experiments again, into docs/reproduction.md (under an hour; resumes)"
	@echo "make golden    rewrite the expected output of the command-line tests;  make docs  that of the docs"

setup: $(READY)

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "clipdetect needs Python 3.11 or newer: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,zstd]'
	$(BIN)/python -m clipdetect.warm
	@touch $(READY)

demo: $(READY)
	@sh sample_data/demo.sh $(BIN)/clipdetect

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal

check: test lint types
	@$(MAKE) fuzz LINES=20000 SEED=1
	@$(MAKE) demo

fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --lines $(LINES) --seed $(SEED)

soak: $(READY)
	$(BIN)/python benchmarks/soak.py

golden: $(READY)
	$(BIN)/python tests/golden.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

coverage: $(READY)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m coverage run -m pytest -p no:cacheprovider
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

bench: $(READY)
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/thresholds.py --threshold tail
	$(BIN)/python benchmarks/log_speed.py

bench-logs: $(READY)
	@test -d "$(DATA)" || { echo "make bench-logs DATA=FOLDER, with loghub, weblogs and cloudtrail in it"; exit 1; }
	$(BIN)/python benchmarks/logs.py $(DATA)

bench-detection: $(READY)
	@test -d "$(DATA)" || { echo "make bench-detection DATA=FOLDER, with nab, skab, smd and other labelled sets in it"; exit 1; }
	$(BIN)/python -m benchmarks.detection $(DATA)

reproduce: $(READY)
	@$(BIN)/python -c 'import matplotlib, scipy, sklearn' 2>/dev/null || \
		$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,reproduce,zstd]'
	$(BIN)/python -m benchmarks.reproduce $(DATA)

docs: $(READY)
	$(BIN)/python docs/build.py

data: $(READY)
	$(BIN)/python sample_data/generate.py

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
