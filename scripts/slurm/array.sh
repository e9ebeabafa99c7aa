#!/usr/bin/env bash
# One temperature for each task of an array. From the top of a checkout of mcgen:
#
#   sbatch scripts/slurm/array.sh
#
# Each task writes a file of its own. Afterwards, rbm and vae take them one by one; in Python,
# results.save("all.h5", [results.load(path) for path in sorted(paths)]) makes one of all.

#SBATCH --job-name=mcgen-array
#SBATCH --array=0-7
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
# Two minutes before the end, to this shell (B), which hands it on: time to write what is done.
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log

source "${MCGEN_SLURM:-${SLURM_SUBMIT_DIR:-.}/scripts/slurm}/environment.sh"

# As many as tasks: change --array above with them.
read -r -a TEMPERATURES <<< "${TEMPERATURES:-1.6 1.8 2.0 2.2 2.269 2.4 2.6 3.0}"
read -r -a SHAPE <<< "${SHAPE:-64 64}"
CHAINS="${CHAINS:-128}" DRAWS="${DRAWS:-10000}" SEED="${SEED:-7}"

TASK="${SLURM_ARRAY_TASK_ID:?is set by Slurm: submit this file with sbatch}"
if ((TASK >= ${#TEMPERATURES[@]})); then
    echo "task $TASK has no temperature: there are ${#TEMPERATURES[@]}; make --array=0-$((${#TEMPERATURES[@]} - 1))" >&2
    exit 2
fi
TEMPERATURE="${TEMPERATURES[TASK]}"
OUTPUT="$OUTPUT_DIR/ising-$TASK.h5"

# A seed for each temperature, so that the runs are independent of each other. With --resume the same command begins a
# run and goes on with it. The time limit is a little less than --time above: where no signal comes, mcgen ends by itself.
STATUS=0
run mcgen ising sample --shape "${SHAPE[@]}" --temperature "$TEMPERATURE" --chains "$CHAINS" --draws "$DRAWS" \
    --seed "$((1000 * SEED + TASK))" --output "$OUTPUT" --resume --time-limit 3:55:00 || STATUS=$?
finish "$STATUS"
mcgen report "$OUTPUT" --output "${OUTPUT%.h5}.html" --overwrite
