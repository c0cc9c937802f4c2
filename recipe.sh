#!/usr/bin/env bash
# The winning recipe from top to bottom: the commands that `make reproduce` walks, on a page.
#
#   ./recipe.sh                                         a real small model on this machine's CPU
#   PROFILE=cpu-fast ./recipe.sh                        every step, and too little of each to mean anything
#   PROFILE=8xa100 DATA=/published/files ./recipe.sh    the real one
#
# The commands read PROFILE, DATA and ALPHAS (weights of the sweeps) themselves. Stopped, it goes on: what is done and up to date is skipped.
# The weights are those of axolotl_configs/tracks.yaml. `make reproduce` asks those that the sweeps have found, too.
set -euo pipefail
cd "$(dirname "$0")"
make env-core env-train env-quantize env-serve
export PROFILE=${PROFILE:-cpu} SET= PATH=$PWD/.venvs/core/bin:$PATH
runs=${RECIPE_RUNS:-runs}/$PROFILE
validation=$runs/questions/validation.parquet test=$runs/questions/test.parquet

# Held-out questions that the models are compared on; the rows of four blends. All before the first training.
recipe questions v8 v7 v9b v7b
recipe data v8
recipe data v7
recipe data v9b
recipe data v7b

# The base as it is: with the decoding rules, and without.
recipe eval v8 --model base --questions "$test"
recipe eval v8 --model base --questions "$test" --mode free

# Round 1: QLoRA on two blends. Wise-ft weights from 0 (the base) to 1 (all of the adapter) are tried on the validation
# questions; at the winners' weight each adapter answers the test questions of its tracks: v8 those of 1, 3 and 5 (all).
recipe train v8
recipe sweep v8 --questions "$validation"
recipe eval v8 --alpha 0.5625 --questions "$test"
recipe eval v8 --alpha 0.5625 --questions "$test" --mode free
recipe train v7
recipe sweep v7 --questions "$validation"
recipe eval v7 --alpha 1 --questions "$test" --track 2 --track 4
recipe eval v7 --alpha 1 --questions "$test" --track 2 --track 4 --mode free

# Round 2: v9b trains on from v8 at the weight 0.5625, v7b from v7. Their weights go from there (0) to what comes out (1).
recipe train v9b
recipe sweep v9b --questions "$validation"
recipe eval v9b --alpha 0.75 --questions "$test" --track 1
recipe eval v9b --alpha 0.25 --questions "$test"
recipe train v7b
recipe sweep v7b --questions "$validation"
recipe eval v7b --alpha 0.5 --questions "$test" --track 2 --track 4

# To serve: adapters merged into the base by their weights, then 4 bit, padded where several GPUs share the model. On a CPU
# the model of track 5 alone.
four_bit() { if [ -d "$runs/$1/awq-padded-$2" ]; then echo "awq-padded-$2"; else echo "awq-$2"; fi; }
if [ "${PROFILE#cpu}" != "$PROFILE" ]; then
  recipe merge v9b --alpha 0.25
else
  recipe merge v9b --alpha 0.75,0.25
  recipe merge v7b --alpha 0.5
  recipe awq v9b --alpha 0.75
  recipe eval v9b --model "$(four_bit v9b 0.75)" --questions "$test" --track 1
  recipe awq v7b --alpha 0.5
  recipe eval v7b --model "$(four_bit v7b 0.5)" --questions "$test" --track 2 --track 4
fi
recipe awq v9b --alpha 0.25
recipe eval v9b --model "$(four_bit v9b 0.25)" --questions "$test"

# One page about all of it.
recipe report
