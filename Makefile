# Every target sets up what it needs by itself: Python 3.11 or newer and make are enough to begin with.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
# One more than the two cores it is timed on: many tests wait, for a clock, a browser or a program that starts.
WORKERS ?= 3
BIN := .venv/bin

# Leftovers of the caller's shell that would install into, or import from, another place.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONDONTWRITEBYTECODE VIRTUAL_ENV CONDA_PREFIX
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_VIRTUALENV PIP_CONSTRAINT PIP_REQUIREMENT PIP_NO_DEPS
unexport PIP_BREAK_SYSTEM_PACKAGES PIP_NO_BINARY PIP_ONLY_BINARY PIP_EDITABLE
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONNOUSERSITE := 1
PIP := $(BIN)/python -m pip install --quiet --no-input

# A virtual environment knows its own path and its Python: moved or outlived, it is made anew.
ifneq ($(shell $(BIN)/python -c 'print(open(".venv/.path").read())' 2>/dev/null),$(CURDIR))
$(shell rm -f .venv/.path)
endif

.PHONY: help demo test check checklist bench assets catalogues lock clean

help: ## Show what each target does.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

demo: .venv/.runtime ## Start three providers and two portals on this machine, with invented citizens; Ctrl-C ends all.
	@exec $(BIN)/python -m idp.cli demo

test: .venv/.dev ## Run every check and test, on SQLite, PostgreSQL, Valkey, a browser, Apache and Node.
	@bash tests/system_packages.sh
	@$(MAKE) check
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

check: .venv/.dev ## Run the checks that need no server: style, types, import contracts, templates, catalogues.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff . | head -50; exit 1; }
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --config setup.cfg --no-cache | tail -n +14
	@$(BIN)/djlint --lint --quiet templates clients
	@$(BIN)/python -m pytest -q tests/unit/core/test_i18n.py

checklist: .venv/.dev ## Write docs/specifications.md from the catalogue of requirements and the tests' markers.
	@$(BIN)/python -m tests.spec.checklist

bench: .venv/.dev ## Measure logins on PostgreSQL with two workers: rate, latencies and CPU for each kind of request.
	@$(BIN)/python -m tests.bench $(ARGS)

assets: ## Build style sheets, script and fonts from npm into idp/static, with their manifest (needs Node).
	@$(PYTHON) idp/static/build/build.py

catalogues: .venv/.dev ## Compile the texts of pages (idp/translations) after a change.
	@$(BIN)/pybabel -q compile -D idp -d idp/translations

lock: .venv/.dev ## Choose the newest versions within the ranges of setup.cfg and pin them with hashes.
	@for set in requirements.lock: requirements-dev.lock:--extra=dev; do \
	    $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-header \
	        --no-emit-index-url --no-emit-find-links --extra=postgres --extra=redis --extra=build \
	        $${set#*:} $$([ -z "$${set#*:}" ] || echo "-c requirements.lock") setup.cfg -o $${set%%:*}; \
	done

clean: ## Remove what setting up and testing made; the demo's data in var/ stay.
	rm -rf .venv build dist *.egg-info tests/parties/node_modules .pytest_cache .mypy_cache .ruff_cache \
	    .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

.venv/.path:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo >&2 \
	    "LienKet needs Python 3.11 or newer, and '$(PYTHON)' is not: try  make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo >&2 \
	    "This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making a virtual environment in .venv"
	@$(PYTHON) -m venv --clear .venv
	@printf %s '$(CURDIR)' > $@

# Everything from the lock and nothing else: --require-hashes refuses what is not pinned, and the project itself is
# installed with the setuptools of the lock.
.venv/.runtime: requirements.lock setup.cfg pyproject.toml .venv/.path
	@echo "Installing (a minute the first time)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements-dev.lock setup.cfg pyproject.toml .venv/.path
	@echo "Installing with the tools for development (a minute or two the first time)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch .venv/.runtime $@
