# make demo and make test need Python 3.11, make, and on Debian apt; everything else they install.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
ARGS ?=
DATA ?= ../shared/data
PYTEST = $(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile
FIT = $(BIN)/gaugewatch-trainer fit --preset small --output exported_models \
  --period-seconds 60 --seed 0 --untrained
DEBIAN := redis-server redis-tools prometheus prometheus-alertmanager docker-compose buildah \
  mmdebstrap runc haproxy chromium
TOOLS := redis-server redis-cli promtool amtool docker-compose buildah mmdebstrap runc haproxy \
  chromium
SUDO := $(shell [ "$$(id -u)" = 0 ] || command -v sudo)

.PHONY: install demo test coverage test-fast chaos fuzz check format bench detection bundles clean

install: $(VENV)/.service              ## the service alone, without torch
demo: $(VENV)/.service                 ## a simulated fleet with faults; ARGS=--no-wait ends by itself
	@$(BIN)/gaugewatch demo $(ARGS)
test: $(VENV)/.everything system-packages check  ## everything that is checked
	$(PYTEST)
coverage: $(VENV)/.everything system-packages  ## the same tests, and which lines none of them runs; takes longer
	$(PYTEST) --cov --cov-report term-missing:skip-covered
test-fast: $(VENV)/.everything         ## the tests that take seconds
	$(BIN)/pytest -m "not slow"
chaos: $(VENV)/.everything system-packages  ## faults at full length: kills, outages, restarts, overload; 15 minutes
	$(BIN)/pytest tests/chaos --chaos=full $(ARGS)
fuzz: $(VENV)/.everything system-packages  ## a million hostile requests, then names; 15 minutes; ARGS="--requests N --first N" goes on
	$(BIN)/python -m tests.web.campaign $(ARGS)
	$(BIN)/python -m tests.web.crowd
check: $(VENV)/.everything             ## lint, types, imports, spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
format: $(VENV)/.everything            ## format and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
bench: $(VENV)/.everything system-packages  ## how fast it is, beside baselines; ARGS=--quick only tries
	$(BIN)/python -m benchmarks.speed $(ARGS)
detection: $(VENV)/.everything         ## how well anomalies are found; DATA holds the data sets; takes hours, goes on where it stopped
	$(BIN)/gaugewatch-trainer benchmark --data $(DATA) --output benchmark $(ARGS)
	$(BIN)/python -m benchmarks.detection --from benchmark
	$(BIN)/python -m benchmarks.figures
bundles: $(VENV)/.everything           ## train the shipped bundles again; DATA holds the SMD files
	$(BIN)/gaugewatch simulate --output build/fleet --entities 8 --train-points 10080 \
	  --test-points 2880 --faults-per-entity 7 --seed 1
	for model in slmr gru_vae blind_spot; do \
	  $(FIT) --model $$model --data build/fleet --name simulated-fleet && \
	  $(FIT) --model $$model --data $(DATA)/SMD/machine-1-6.npz --name smd-machine-1-6 && \
	  $(FIT) --model $$model --data $(DATA)/SMD/machine-2-1.npz --name smd-machine-2-1 || exit 1; \
	done  # the last of each name is the current one
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build *.egg-info

.PHONY: system-packages
system-packages:                       # real servers for the tests; only what is not there
	@(PATH=$$PATH:/usr/sbin; for tool in $(TOOLS); do command -v $$tool >/dev/null || exit 1; done) \
	  || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq $(DEBIAN); }

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.service: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.everything: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[trainer]" --group dev
	@touch $@ $(VENV)/.service
