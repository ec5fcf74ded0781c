# Python 3.11 or newer and make are all that is needed; `make demo` and `make test` make the rest.
PY := .venv/bin/python
PYTEST_ARGS ?=

.PHONY: help venv demo demo-proofs test quick lint docs screenshots bench proofs lock clean

help:
	@echo "make demo    a miner and two workers seal four sectors before your eyes (simulated)"
	@echo "make demo-proofs  the same really sealed and verified, 2KiB sectors (Rust; some 3 minutes after make proofs)"
	@echo "make test    formatting, lint, types, import arrows, all tests"
	@echo "make quick   the same without the slow tests"
	@echo "make docs    write completions/ and the generated documents anew from the commands and settings"
	@echo "make bench   measure (20 minutes on an idle machine), and write docs/benchmarks.md"
	@echo "make proofs  build lotus-proofs (Rust; 2 to 4 minutes) and make 2KiB test parameters (7 to 20 minutes), once"
	@echo "make venv    the environment in .venv, with lotus-miner, lotus-worker and lotus-sched"
	@echo "make lock    resolve the requirements anew (needs uv)"

venv:
	@python3 tools/venv.py

demo: venv
	@exec $(PY) -m lotus_sched_cli.cli.demo

demo-proofs: venv
	@sh proofs/build.sh >/dev/null
	@LOTUS_PROOFS=$$(sh proofs/build.sh --path) exec $(PY) -m lotus_sched_cli.cli.demo.proofs

test: lint
	$(PY) -m pytest $(PYTEST_ARGS)

quick: lint
	$(PY) -m pytest -m "not slow" $(PYTEST_ARGS)

lint: venv
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports

docs: venv
	$(PY) tools/docs.py

# A farm is sealed in simulation for it; needs Pillow (pip install ".[screenshots]").
screenshots: venv
	$(PY) tools/screenshots.py

bench: venv
	PYTHONPATH=tests $(PY) -m bench.run --write docs/benchmarks.md

# Parameters made here are for test networks only. Both land in the user's cache folder and are made once.
PARAMETERS := $(or $(FIL_PROOFS_PARAMETER_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/lotus-sched-cli/proof-parameters)
proofs:
	@program=$$(sh proofs/build.sh) && mkdir -p "$(PARAMETERS)" && \
	echo '{"ProofType":5,"Make":true}' | FIL_PROOFS_PARAMETER_CACHE="$(PARAMETERS)" "$$program" params

lock:
	@command -v uv >/dev/null || { echo "ERROR: make lock needs uv (pip install uv)" >&2; exit 1; }
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/run.txt
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
