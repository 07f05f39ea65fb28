# Everything runs in .venv, which `make setup` builds from pyproject.toml with nothing but Python 3.11+.
PYTHON ?= python3
BIN := .venv/bin
LMMS := .venv-lmms/bin
# One process for each core, up to four.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); [ $$n -lt 4 ] && echo $$n || echo 4)

.PHONY: setup demo test check format clean

setup: .venv/.ready

.venv/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mindreel needs Python 3.11 or newer: make PYTHON=python3.12 setup" >&2; exit 2; }
	@echo "Setting up .venv: PyTorch and what it needs are a few GB, so this takes some minutes the first time."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# lmms-eval wants an older av than the rest is tested with, so it gets an environment of its own on top of .venv.
.venv-lmms/.ready: .venv/.ready
	@test -x $(LMMS)/python || $(PYTHON) -m venv .venv-lmms
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(LMMS)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/below.pth"
	$(LMMS)/python -m pip install --quiet --editable '.[lmms-eval]'
	@touch $@

demo: setup
	$(BIN)/python -m agent.run --video examples/20000049-false_belief.mp4 \
		--question "Where will Yan, the one in purple, look for the star first?" \
		--options "the blue chest" "the purple suitcase"

test: setup .venv-lmms/.ready
	@# lmms-eval's tests beside all others: they take a minute of one core.
	@$(LMMS)/python -m pytest tests/test_lmms.py > .venv-lmms/tests.log 2>&1 & beside=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term --cov-fail-under=95; all=$$?; \
	wait $$beside; lmms=$$?; echo "tests/test_lmms.py in .venv-lmms:"; cat .venv-lmms/tests.log; exit $$((all || lmms))

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-lmms build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
