# Every verb of this repository. `make` alone lists them.
#
# A machine needs Python >= 3.11 with pip, and make; everything else is made here, in .venv,
# from hash-pinned locks. One environment serves both locks, because requirements/run.txt is
# a subset of requirements/dev.txt with the same pins (`make check` proves it): the stamps in
# .venv say which of the two has been installed.

PYTHON ?= python3
# Passed on to `rota up` by `make run`: make run ARGS="--port 9000"
ARGS ?=
# Passed on to pytest by `make test` and `make gates`: make test TESTS="tests/unit -k cron"
TESTS ?= tests
JOBS ?= 3
SECONDS ?= 60
UV ?= uv

BIN := .venv/bin
# Tests that wait are long and stand together: who has run out of work takes some of them over.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
UV_COMPILE_GROUP := $(UV) pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
UV_COMPILE := $(UV_COMPILE_GROUP) pyproject.toml --extra embedded

.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: .venv/.run ## start Rota with its own database; Ctrl-C stops it (ARGS="--port 9000")
	@exec $(BIN)/rota up $(ARGS)

.PHONY: test
test: deps .venv/.dev ## run every test (TESTS="tests/unit -k cron" for some)
	@$(PYTEST) $(TESTS)

.PHONY: check
check: .venv/.dev ## format, lint, types, layers, generated documents, locks
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m scripts.generate_docs --check
	@$(BIN)/python -m scripts.check_locks

.PHONY: bench
bench: .venv/.dev .bench-venv/.made ## measure beside its peers in 15 minutes, into bench/out/latest.json
	@$(BIN)/python bench/run.py

.PHONY: bench-long
bench-long: .venv/.dev .bench-venv/.made ## the measurements that take hours; goes on where it was stopped
	@$(BIN)/python bench/run.py --long

.PHONY: chaos
chaos: deps .venv/.dev ## kill servers and workers at random for SECONDS=60, OUTAGE=0 s without a database; prove nothing was lost
	@$(BIN)/python -m tests.chaos $(SECONDS) $(if $(OUTAGE),--outage $(OUTAGE))

.PHONY: gates
gates: deps .venv/.dev ## the acceptance suites only: architecture, property, e2e
	@$(PYTEST) $(wildcard tests/architecture tests/property tests/e2e)

.PHONY: planted
planted: deps .venv/.dev ## plant each known defect into a copy and prove that its tests fail (DEFECTS="T1 T13")
	@$(BIN)/python -m tests.planted $(DEFECTS)

.PHONY: verification-report
verification-report: deps .venv/.dev ## run the suites that prove the store and write verification/report.md
	@$(BIN)/python -m scripts.verification_report --jobs $(JOBS)

.PHONY: bless
bless: .venv/.dev ## rewrite generated documents and golden files; commit only what you understand
	@$(BIN)/python -m scripts.generate_docs
	@BLESS=1 $(PYTEST) -q tests/golden

.PHONY: deps
deps: ## install the Debian packages that only tests need
	@sh scripts/install_test_packages.sh

.PHONY: env
env: .venv/.dev ## make .venv for development from the lock
	@:

.PHONY: lock
lock: ## renew the hash-pinned locks (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv; remedy: pip install uv" >&2; exit 1; }
	$(UV_COMPILE) --group dev -o requirements/dev.txt
	$(UV_COMPILE) --group build -c requirements/dev.txt -o requirements/run.txt
	$(UV_COMPILE_GROUP) --group pyproject.toml:bench -o requirements/bench.txt
	$(UV_COMPILE_GROUP) --group pyproject.toml:bench-apscheduler4 -o requirements/bench-apscheduler4.txt
	@$(PYTHON) scripts/check_locks.py

.PHONY: clean
clean: ## remove the environment, caches and built files (never a data directory)
	rm -rf .venv .bench-venv build dist bench/out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.run: requirements/run.txt pyproject.toml scripts/make_environment.sh
	@PYTHON="$(PYTHON)" sh scripts/make_environment.sh run
	@touch $@

.venv/.dev: requirements/dev.txt pyproject.toml scripts/make_environment.sh
	@PYTHON="$(PYTHON)" sh scripts/make_environment.sh dev
	@touch .venv/.run $@

.bench-venv/.made: .venv/.dev requirements/bench.txt requirements/bench-apscheduler4.txt scripts/make_bench_environments.sh
	@sh scripts/make_bench_environments.sh
	@touch $@
