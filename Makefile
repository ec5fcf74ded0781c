# Python 3.11 or newer and make are all that is needed; `make demo` and `make test` make the rest.
PY := .venv/bin/python
PYTEST_ARGS ?=

.PHONY: help venv demo test quick lint bench lock clean

help:
	@echo "make demo    a miner and two workers seal four sectors before your eyes (simulated)"
	@echo "make test    formatting, lint, types, import arrows, all tests"
	@echo "make quick   the same without the slow tests"
	@echo "make bench   measure, and write docs/benchmarks.md"
	@echo "make venv    the environment in .venv, with lotus-miner, lotus-worker and lotus-sched"
	@echo "make lock    resolve the requirements anew (needs uv)"

venv:
	@python3 tools/venv.py

demo: venv
	@exec $(PY) -m lotus_sched_cli.cli.demo

test: lint
	$(PY) -m pytest $(PYTEST_ARGS)

quick: lint
	$(PY) -m pytest -m "not slow" $(PYTEST_ARGS)

lint: venv
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

bench: venv
	PYTHONPATH=tests $(PY) -m bench.run --write docs/benchmarks.md

lock:
	@command -v uv >/dev/null || { echo "ERROR: make lock needs uv (pip install uv)" >&2; exit 1; }
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/run.txt
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
