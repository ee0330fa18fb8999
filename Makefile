# One command per job. On a fresh Debian 12 with Python 3.11 `make demo` and `make test` install
# what they need; where nothing is missing the set-up costs a few milliseconds.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# People see what is fetched; a log does not need to.
PIP := $(BIN)/pip install --disable-pip-version-check $(if $(CI),--quiet)
EXTRAS := train,export,hil,fleet,environments,dev

# Why each: docs/dependencies.md.
APT_PACKAGES := qemu-system-arm mosquitto chromium gcc libc6-dev util-linux clang-format clang-tidy cppcheck clang-14 libclang-rt-14-dev

# The one place that names torch's version is pyproject.toml.
TORCH := $(shell sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml | head -n 1)
# An environment that was removed is made again, whatever the stamp says.
LOST_VENV := $(if $(wildcard $(BIN)/jouleloop),,lost-venv)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint coverage bench footprint docs clean distclean lost-venv

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

setup: .setup/python ## install what is missing: Debian packages, then .venv

demo: setup ## the whole line, from training to joules on a monitor; writes out/demo/
	$(BIN)/jouleloop demo --out out/demo

test: setup ## every test but the slow ones
	$(BIN)/python -m pytest

test-all: setup ## every test, on fresh random examples
	$(BIN)/python -m pytest --all

lint: setup ## style, types, arrows between folders, generated pages, house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy .ci/house_rules.py
	$(BIN)/lint-imports
	git ls-files -z '*.c' '*.h' | xargs -0 -r clang-format --dry-run -Werror
	.ci/lint_firmware
	$(BIN)/python -m docs.generate_cli --check
	$(BIN)/python .ci/house_rules.py

coverage: setup ## which lines of the firmware's portable C the tests run; at least 95 %
	$(BIN)/python -m tests.firmware_coverage

docs: setup ## write the generated pages again
	$(BIN)/python -m docs.generate_cli

bench: setup ## the benchmarks, into out/benchmarks/
	$(BIN)/python -m benchmarks

footprint: setup ## what each part of the firmware costs in flash and RAM, per core
	$(BIN)/python -m benchmarks footprint

clean: ## remove what was built; the environment stays
	rm -rf out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## remove the environment too
	rm -rf $(VENV) .setup *.egg-info

# The stamp `installing` stands while pip works: a set-up that was interrupted starts afresh, for
# pip does not notice a package that it left half installed.
.setup/python: pyproject.toml $(LOST_VENV) | .setup/apt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "jouleloop needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@if [ -e .setup/installing ] || [ ! -x $(BIN)/pip ]; then $(PYTHON) -m venv --clear $(VENV); fi
	@rm -f $@ && touch .setup/installing
	$(PIP) '$(TORCH)'
	$(PIP) -e '.[$(EXTRAS)]'
	@mv .setup/installing $@

.setup/apt: Makefile .ci/install_debian_packages
	@mkdir -p .setup
	@.ci/install_debian_packages '$(PYTHON)' $(APT_PACKAGES)
	@touch $@
