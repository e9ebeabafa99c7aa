#!/usr/bin/env bash
# Train on one GPU. From the top of a checkout of mcgen, installed with pip install '.[cuda]':
#
#   DATA=ising-4.h5 sbatch scripts/slurm/gpu.sh

#SBATCH --job-name=mcgen-gpu
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
# Two minutes before the end, to this shell (B), which hands it on: time to write what is done.
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

source "${MCGEN_SLURM:-${SLURM_SUBMIT_DIR:-.}/scripts/slurm}/environment.sh"
# module load cuda    # only where the driver of the node needs it: the cuda extra brings what else there is to load

DATA="${DATA:?is the file to learn from: DATA=ising-4.h5 sbatch scripts/slurm/gpu.sh}"
HIDDEN="${HIDDEN:-256}" EPOCHS="${EPOCHS:-200}" SEED="${SEED:-1}"
OUTPUT="$OUTPUT_DIR/rbm.h5"

# Slurm shows this job its own GPU only (CUDA_VISIBLE_DEVICES). Without one this ends here: nothing falls back to the CPU.
nvidia-smi --list-gpus

STATUS=0
run mcgen rbm train --data "$DATA" --hidden "$HIDDEN" --epochs "$EPOCHS" --negative-phase pcd --device cuda \
    --seed "$SEED" --output "$OUTPUT" --resume --time-limit 3:55:00 || STATUS=$?
finish "$STATUS"
mcgen report "$OUTPUT" --output "${OUTPUT%.h5}.html" --overwrite
