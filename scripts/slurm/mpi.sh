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
# Five minutes before the end, to this shell (B), which hands it on to srun, and that to all ranks: they stop together,
# when each has written what is done.
#SBATCH --signal=B:TERM@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

source "${MCGEN_SLURM:-${SLURM_SUBMIT_DIR:-.}/scripts/slurm}/environment.sh"
# module load openmpi    # the one that mpi4py was built with

read -r -a TEMPERATURES <<< "${TEMPERATURES:-1.6 1.8 2.0 2.2 2.269 2.4 2.6 3.0}"
read -r -a SHAPE <<< "${SHAPE:-64 64}"
CHAINS="${CHAINS:-1024}" DRAWS="${DRAWS:-10000}" SEED="${SEED:-7}"
OUTPUT="$OUTPUT_DIR/ising.h5"

# With --resume the same command begins a run and goes on with it, after the signal and after a node has failed; as many
# ranks go on as have begun. --kill-on-bad-exit ends all ranks where one is killed. srun then gives the highest status of
# a rank, and one that it has killed itself may have 137: above the 75 of --time-limit, which is why there is none here.
# A folder of compiled kernels for each rank of a node: SLURM_LOCALID is its number there. The folders lie below one that
# has to be a local disk of every node, as /tmp is. Since Slurm 22.05, srun does not take the cores of a task from sbatch.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"
STATUS=0
run srun --mpi="${MPI:-pmix}" --kill-on-bad-exit=1 \
    bash -c 'export NUMBA_CACHE_DIR="${NUMBA_CACHE_DIR:+$NUMBA_CACHE_DIR/$SLURM_LOCALID}"; exec mcgen "$@"' mcgen \
    ising sample --shape "${SHAPE[@]}" --temperature "${TEMPERATURES[@]}" --chains "$CHAINS" --draws "$DRAWS" \
    --seed "$SEED" --output "$OUTPUT" --resume || STATUS=$?
finish "$STATUS"
mcgen report "$OUTPUT" --output "${OUTPUT%.h5}.html" --overwrite
