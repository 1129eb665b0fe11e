# What a developer does, one word each. `make help` lists it.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench clean

help: ## list what there is to make
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

# An environment of its own, with the package built in release mode; made anew when the sources change.
$(READY): pyproject.toml Cargo.toml Cargo.lock $(shell find rust python -name '*.rs' -o -name 'Cargo.toml' -o -name '*.pyi')
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("apollo-pack needs CPython 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]'
	touch $(READY)

demo: $(READY) ## build the example corpus into out.bin and look into it
	$(BIN)/apollo-pack build examples/corpus out.bin --seq-len 1024 --force
	$(BIN)/apollo-pack verify out.bin
	$(BIN)/apollo-pack inspect out.bin --row 0

test: $(READY) ## run all tests, Rust and Python
	cargo test --workspace --locked
	$(BIN)/python -m pytest

lint: $(READY) ## check formatting, lints, types and stubs
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest apollo_pack._core

format: $(READY) ## format all code
	cargo fmt --all
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(READY) ## the same job the usual way and with apollo-pack (CORPUS=folder to choose another)
	$(BIN)/python benches/usual_way.py $(or $(CORPUS),examples/corpus)

clean: ## remove what was built
	rm -rf $(VENV) target out.bin
