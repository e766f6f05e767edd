# Two commands: `make lab` opens the course, `make test` proves everything.
PYTHON ?= python3
# a virtual environment keeps its programs elsewhere on Windows; there, use conda (README)
BIN := .venv/bin
STAMP := .venv/.installed
SITE := .venv/.site

.DEFAULT_GOAL := help
.PHONY: help env lab test notebooks bench audit site handouts pictures lock clean

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

env: $(STAMP) ## make the environment in .venv, from the pins in constraints.txt

# checked first: a too old Python would fail much later and less clearly
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); \
	  sys.exit(None if ok else f"The course needs Python 3.11 to 3.13, this is {sys.version.split()[0]}. Name another one: make PYTHON=python3.12 env")'
	@echo "Making .venv (about a minute) ..."
	@$(PYTHON) -m venv .venv || { echo "No virtual environment could be made. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv hatchling editables
	@PYTHONDONTWRITEBYTECODE= $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --no-build-isolation -c constraints.txt -e ".[dev]" \
	  || PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pip install --no-build-isolation -c constraints.txt -e ".[dev]"
	@touch $(STAMP)

lab: $(STAMP) ## open the first notebook in JupyterLab; pass options as ARGS="--no-browser --port 8899"
	$(BIN)/jupyter lab --ServerApp.root_dir="$(CURDIR)/notebooks" --LabApp.default_url=/lab/tree/00_start_here.ipynb $(ARGS)

test: $(STAMP) ## run every check that CI runs
	$(BIN)/python -m mlprod_tools test $(ARGS)

notebooks: $(STAMP) ## build notebooks/ and solutions/ from lessons/
	$(BIN)/python -m mlprod_tools build $(ARGS)

audit: $(STAMP) ## try every exercise with right, wrong and nonsensical answers and with mutants, on 50 seeds
	$(BIN)/python -m mlprod_tools audit --seeds 50 --mutants $(ARGS)

bench: $(STAMP) ## run all comparisons and write benchmarks/RESULTS.md; ARGS="--long" for the slow ones too
	$(BIN)/python benchmarks/results.py $(ARGS)

$(SITE): $(STAMP)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation -c constraints.txt -e ".[dev,site]"
	@touch $(SITE)

site: $(SITE) ## make the course as web pages in build/site/html
	$(BIN)/python -m mlprod_tools site $(ARGS)

handouts: $(SITE) ## print each lesson, and two cards of one page, to PDF in build/handouts (needs Chromium)
	$(BIN)/python -m mlprod_tools handouts $(ARGS)

pictures: $(SITE) ## take the pictures in docs/ again, of what a learner sees (needs Chromium)
	$(BIN)/python -m mlprod_tools pictures $(ARGS)

lock: $(STAMP) ## pin the newest versions that pyproject.toml allows (needs the network)
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate --all-extras pyproject.toml -o constraints.txt

clean: ## remove the environment and caches; your answers and progress stay
	rm -rf .venv .pytest_cache .ruff_cache build
