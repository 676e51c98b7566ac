# `make demo` and `make test` are all a new user needs; both make .venv if it is missing.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DOCS_STAMP := $(VENV)/.docs
NOTEBOOKS_STAMP := $(VENV)/.notebooks
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed

.DEFAULT_GOAL := help
.PHONY: help env demo test bench bench-scale optima calibration docs notebooks dist lint types clean constraints

help:
	@echo "make demo    radon fitted by REML and by NUTS: comparison, picture, HTML page"
	@echo "make test    all tests"
	@echo "make bench   times against other packages, in an environment of their own: docs/benchmarks.md"
	@echo "             (takes long; a part: make bench BENCH='--works sleepstudy nested')"
	@echo "make bench-scale  data in Parquet, to 1e8 rows: docs/scale_times.md (half an hour, 7 GB of disk, 8 of memory)"
	@echo "make optima  whose log-likelihood is higher, on hundreds of models: docs/optima.md"
	@echo "make calibration  ranks of true values in simulated posteriors: docs/calibration.md, and coverage of"
	@echo "             intervals of every kind: docs/coverage.md"
	@echo "             (half an hour; interrupted, it goes on; a look: make calibration CALIBRATION='--page-only')"
	@echo "make docs    the documentation site: docs/_build/html/index.html"
	@echo "make notebooks  runs notebooks/src and writes notebooks with their outputs (one: NOTEBOOKS=radon)"
	@echo "make dist    wheel and sdist, each installed into an empty environment where the first example runs"
	@echo "make lint    ruff (style and formatting) and mypy (types)"
	@echo "make clean   remove the environments and everything that was built"

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || \
	  { echo "bimixed needs Python 3.12 or later; '$(PYTHON)' is $$($(PYTHON) --version)."; \
	    echo "Name another one: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m bimixed.demo out

# WORKERS: processes, each of which takes whole files.
test: $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

$(PEERS_STAMP): benchmarks/peers.txt | $(STAMP)
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	@touch $@

# lme4 takes part where Rscript is found. BENCH: options of benchmarks/bench.py.
bench: $(PEERS_STAMP)
	$(BIN)/python benchmarks/bench.py --peers $(PEERS)/bin/python $(BENCH)
	$(BIN)/python benchmarks/inference_times.py

# SCALE: options of benchmarks/scale/bench.py, such as --data FOLDER (7 GB), --parts ladder.
bench-scale: $(STAMP)
	$(BIN)/python benchmarks/scale/bench.py $(SCALE)

optima: $(PEERS_STAMP)
	$(BIN)/python benchmarks/optima.py --peers $(PEERS)/bin/python --r "$$(command -v Rscript)"

# CALIBRATION, COVERAGE: options of benchmarks/calibration and benchmarks/interval_coverage.py, such as --workers dask.
calibration: $(STAMP)
	PYTHONPATH=benchmarks $(BIN)/python -m calibration $(CALIBRATION)
	$(BIN)/python benchmarks/interval_coverage.py $(COVERAGE)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

$(DOCS_STAMP): pyproject.toml constraints.txt | $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

$(NOTEBOOKS_STAMP): pyproject.toml constraints.txt | $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[notebooks]'
	@touch $@

# make test runs the same cells with few draws, and needs nothing for it.
notebooks: $(NOTEBOOKS_STAMP)
	$(BIN)/python notebooks/build.py $(NOTEBOOKS)

# Warnings, such as links that lead nowhere, are errors.
docs: $(DOCS_STAMP)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --builder html docs docs/_build/html
	@echo docs/_build/html/index.html

# Each archive in an environment without anything else, away from the sources.
dist: $(STAMP)
	rm -rf dist build
	$(BIN)/python -m build --outdir dist .
	for archive in dist/*.whl dist/*.tar.gz; do \
	  rm -rf build/empty && $(PYTHON) -m venv build/empty && \
	  build/empty/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $$archive && \
	  (cd build && empty/bin/python ../benchmarks/first_example.py) || exit 1; \
	done

clean:
	rm -rf $(VENV) $(PEERS) build dist out docs/_build docs/_notebooks .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
