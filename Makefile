# PYTHON chooses the interpreter, ARGS adds arguments, and PIP_ARGS passes options to pip, for instance
#   make train PIP_ARGS="--extra-index-url <index of CPU-only torch wheels>"
PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
ARGS ?=

INSTALLED := $(VENV)/.installed

.PHONY: help install train test fuzz arm64 lint docs notebook clean

help: ## print this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(INSTALLED) ## create .venv with the package and all its extras

train: $(INSTALLED) ## distil, quantise and check on the sample; ARGS="backbone=resnet18 ..."
	$(VENV)/bin/m2fp-kd train backbone=mobilenetv3 $(ARGS)

test: $(INSTALLED) ## run the tests; ARGS="tests/data" or ARGS="-m long"
	$(VENV)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

fuzz: $(INSTALLED) ## read mutated photos for five minutes; ARGS="--minutes 60 --seed 1"
	$(VENV)/bin/python -m tests.hostile.fuzz $(ARGS)

arm64: $(INSTALLED) ## prove runtime and artefacts on emulated Arm CPUs; ARGS="runs/NAME/artefacts/int8 --photos DIR"
	$(VENV)/bin/python -m benchmarks.arm64 $(ARGS)

lint: $(INSTALLED) ## check style, format and types
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

docs: $(INSTALLED) ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet

notebook: $(INSTALLED) ## train short runs on the sample and execute notebooks/analysis.ipynb: 15 minutes on two cores
	$(VENV)/bin/m2fp-kd train -m experiment=notebook distill=labels
	$(VENV)/bin/m2fp-kd train -m experiment=notebook distill.temperature=1,4 distill.alpha=0.3,0.7
	$(VENV)/bin/python notebooks/execute.py notebooks/analysis.ipynb runs/notebook

clean: ## remove .venv and build results
	rm -rf $(VENV) build dist site

# The stamp is written last, so that make repeats an interrupted installation. Python compiles the modules that are
# imported; pip would compile all 400 MB of them.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing into $(VENV), which takes minutes and some gigabytes"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-compile $(PIP_ARGS) --constraint constraints.txt --editable '.[train,compress,serve,sweep,docs,dev,executorch,ncnn,litert]'
	$(VENV)/bin/python -m m2fp_kd.versions
	touch $@
