# make tour and make test do all their own set-up; make help lists the rest.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# pip's index settings come from the machine; the locked files hold versions and hashes only.
INSTALL := $(PIP) install --require-hashes -r

.PHONY: help tour install test vm-test check format bench docs lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | sort | while IFS="$$(printf '\t')" read -r name text; \
	do printf '  make %-10s %s\n' "$$name" "$$text"; done

tour: $(VENV)/.run ## show sockets of every kind at work, and prove what went over the wire
	@$(BIN)/sw tour
	@command -v sw >/dev/null || echo 'for sw in this shell: . $(BIN)/activate'

install: $(VENV)/.run ## make .venv with the package in it, and say how to use it
	@echo 'installed: $(BIN)/sw --help, or: . $(BIN)/activate'

# With PYTHONDONTWRITEBYTECODE each of a thousand processes would compile what it loads.
test: $(VENV)/.dev ## run the whole suite, with its peers where they can be installed
	@dev/debian-packages
	@$(BIN)/python -m compileall -q -j 0 src
	@$(BIN)/python -m pytest -n auto

vm-test: $(VENV)/.dev ## sockets that only some kernels list, and what Debian's kernels look like, in QEMU
	@tests/vm/run
	@CI=true $(BIN)/python -m pytest -q tests/vm/identify_kernels.py

check: $(VENV)/.dev ## ruff and mypy --strict
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.dev ## put the source into its one form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.dev ## run every benchmark beside its peer
	@set -e; for script in benchmarks/bench_*.py; do \
	    [ -e "$$script" ] || { echo 'no benchmarks yet'; break; }; \
	    echo "== $$script"; $(BIN)/python "$$script"; done

docs: $(VENV)/.docs ## build the site into site/
	@$(BIN)/python -m sphinx -q -W --keep-going -b dirhtml docs site
	@echo 'built: site/index.html'

lock: $(VENV)/.dev ## pin the newest versions that fit, with hashes
	@$(PIP) install uv
	@for name in run dev docs; do \
	    groups='--group build'; [ $$name = run ] || groups="$$groups --group $$name"; \
	    $(BIN)/uv pip compile pyproject.toml $$groups --upgrade --universal --python-version 3.11 \
	        --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	        --quiet --output-file requirements/$$name.txt; done

clean: ## remove all that was made here
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is made once its installation is whole, so that an interrupted one starts again.
$(VENV)/.made: dev/make-venv
	@dev/make-venv
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements/run.txt pyproject.toml
	@echo 'installing Sockwright'
	@$(INSTALL) requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.txt
	@echo 'installing what development needs'
	@$(INSTALL) requirements/dev.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.run requirements/docs.txt
	@echo 'installing what the site needs'
	@$(INSTALL) requirements/docs.txt
	@touch $@
