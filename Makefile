# `make compare` and `make test` set up everything they need in .venv on a machine with Python 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Tests run on one process more than there are cores, for some wait; one file's tests stay together as far as the work
# is even.
PROCESSES := -n $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)') --dist worksteal
# The processes share the cores already: threads of BLAS and OpenMP within each, and within what they start, would wait
# for one another, spinning.
test test-fast: export OPENBLAS_NUM_THREADS := 1
test test-fast: export OMP_NUM_THREADS := 1
# Each process would compile every module anew.
test test-fast: export PYTHONDONTWRITEBYTECODE :=

# Once after an installation: what each process would else compile, all at the same time. A test will tell what failed.
WARM := $(VENV)/.warm
WARMED = test $(WARM) -nt $(STAMP) || { $(BIN)/python tests/warm.py; touch $(WARM); }

# GNU Radio runs under the Python that it was installed for.
RADIO ?= /usr/bin/python3

.PHONY: compare installed test test-fast style lint bench radio radio-pictures wheel clean
compare: $(STAMP)
	$(BIN)/semlink compare --out out

installed: $(STAMP)

# Types are checked beside the tests, in one process that ends long before they do; what it found comes last.
test: $(STAMP) style
	@$(BIN)/mypy >$(VENV)/mypy.txt 2>&1 & types=$$!; trap "kill $$types; exit 130" INT TERM; \
	$(WARMED); \
	$(BIN)/pytest $(PROCESSES); tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/mypy.txt; exit $$((tests || types))

test-fast: $(STAMP)
	@trap "exit 130" INT TERM; $(WARMED)
	$(BIN)/pytest $(PROCESSES) -m "not slow"

style: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

lint: style
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/semlink bench --out out/bench.json

# The flowgraphs under GNU Radio (apt: gnuradio python3-zmq python3-pil), codecs in `semlink worker`.
radio: $(STAMP)
	SEMLINK_RADIO_PYTHON=$(RADIO) $(BIN)/pytest tests/flowgraphs/radio tests/flowgraphs/service

radio-pictures:
	PYTHONPATH=tests/typing_root xvfb-run -a $(RADIO) -m semlink.flowgraphs.radio.render --out flowgraphs/radio/pictures

wheel: $(STAMP)
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist out *.egg-info

# PyTorch first and by itself, so that another build can be chosen: SEMLINK_TORCH="torch==2.13.0+cpu", say.
SEMLINK_TORCH ?= torch>=2.9,<2.14
INSTALL = $(BIN)/python -m pip install --quiet $(PIP_OPTIONS)
$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade "pip>=24" "setuptools>=77"
	$(INSTALL) "$(SEMLINK_TORCH)"
	$(INSTALL) --editable ".[dev]"
# pyldpc's setup.py imports numpy without saying so. Without it the Gallager codes and their tests are left out.
	$(INSTALL) wheel
	-$(INSTALL) --no-build-isolation "pyldpc>=0.7.9,<0.8"
	touch $(STAMP)
