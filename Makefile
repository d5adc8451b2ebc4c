# Two commands on a fresh machine: `make evolve` runs a real search, `make test` runs the tests. Both may run again.
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check
NAME ?= first

.PHONY: evolve test check setup clean

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
