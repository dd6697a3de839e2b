# Two commands are enough on a fresh machine: `make demo` and `make test`. Both run `setup` first.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format types bench peers clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1|/' | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: ## make .venv: locked packages, ROS 2 Jazzy where none is sourced, the built workspace (PYTHON=python3.11)
	@command -v $(PYTHON) >/dev/null || { echo "make setup: no '$(PYTHON)' here, wanted Python 3.10 to 3.12; install it or name another: make setup PYTHON=..." >&2; exit 2; }
	@$(PYTHON) ros2_ws/setup/prepare.py

demo: setup ## run the demo fleet and print its KPIs (ARGS="--minutes 2 --policy greedy")
	@$(BIN)/parley demo $(ARGS)

test: setup lint types ## lint, types and every test
	@export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST OMP_NUM_THREADS=1; $(BIN)/python -m pytest tests $(ARGS)

lint: setup ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: setup ## let ruff format and mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: setup ## mypy
	@$(BIN)/mypy

bench: setup ## the benchmarks: tables, and figures in runs/bench (ARGS="--bench-json FOLDER --bench-note WORDS")
	@export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST OMP_NUM_THREADS=1; $(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py' -q -s $(ARGS)

peers: setup ## BenchMARL, for the benchmark that compares with it (180 MB)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[peers]'

clean: ## remove what setup made: .venv and the build folders
	@rm -rf .venv ros2_ws/build ros2_ws/install ros2_ws/log parley.egg-info
