#!/usr/bin/env bash
# Spread the temperatures and chains of one run over the ranks of MPI. From the top of a checkout of mcgen, installed with
# pip install '.[mpi]' against the MPI of the cluster:
#
#   sbatch scripts/slurm/mpi.sh
#
# Results do not depend on the number of ranks.

#SBATCH --job-name=mcgen-mpi
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=2
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00
#SBATCH --output=%x-%j.log

source "${MCGEN_SLURM:-${SLURM_SUBMIT_DIR:-.}/scripts/slurm}/environment.sh"
# module load openmpi    # the one that mpi4py was built with

read -r -a TEMPERATURES <<< "${TEMPERATURES:-1.6 1.8 2.0 2.2 2.269 2.4 2.6 3.0}"
read -r -a SHAPE <<< "${SHAPE:-64 64}"
CHAINS="${CHAINS:-1024}" DRAWS="${DRAWS:-10000}" SEED="${SEED:-7}"
OUTPUT="$OUTPUT_DIR/ising.h5"

# A folder of compiled kernels for each rank of a node: SLURM_LOCALID is its number there. The folders lie below one that
# has to be a local disk of every node, as /tmp is. Since Slurm 22.05, srun does not take the cores of a task from sbatch.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
STATUS=0
run srun --mpi="${MPI:-pmix}" --kill-on-bad-exit=1 \
    bash -c 'export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:+$NUMBA_CACHE_DIR/$SLURM_LOCALID}"; exec mcgen "$@"' mcgen \
    ising sample --shape "${SHAPE[@]}" --temperature "${TEMPERATURES[@]}" --chains "$CHAINS" --draws "$DRAWS" \
    --seed "$SEED" --output "$OUTPUT" || STATUS=$?
finish "$STATUS"
mcgen report "$OUTPUT" --output "${OUTPUT%.h5}.html" --overwrite
