# One implementation for every machine: run.py sets up .venv and does the work.
PYTHON ?= python3

.PHONY: run test check pin clean
.DEFAULT_GOAL := run

run test check pin clean:
	@$(PYTHON) run.py $@
