# PYTHON chooses the interpreter, PIP_ARGS passes index options through, for instance
#   make train PIP_ARGS="--extra-index-url <index of CPU-only torch wheels>"
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
ARGS ?=

INSTALLED := $(VENV)/.installed

.PHONY: train test lint notebook clean

train: $(INSTALLED)
	$(VENV)/bin/python train.py backbone=mobilenetv3 $(ARGS)

test: $(INSTALLED)
	$(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: $(INSTALLED)
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

# Short runs on the sample, a quarter of an hour on two cores, and notebooks/analysis.ipynb with its outputs made of them.
notebook: $(INSTALLED)
	$(VENV)/bin/python train.py -m experiment=notebook distill=labels
	$(VENV)/bin/python train.py -m experiment=notebook distill.temperature=1,4 distill.alpha=0.3,0.7
	$(VENV)/bin/python notebooks/execute.py notebooks/analysis.ipynb runs/notebook

# The stamp is written last, so that an interrupted installation is taken up again.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable '.[train,compress,serve,sweep,dev]'
	$(VENV)/bin/python -m m2fp_kd.versions
	touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info
