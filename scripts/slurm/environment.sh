# What the jobs of this folder have in common. They source it; it is no job of its own.
#
# Submit jobs from the top of a checkout of mcgen, or name this folder: sbatch --export=ALL,MCGEN_SLURM=/path/to/it ...

set -euo pipefail

# How mcgen comes into the path is a matter of your cluster. Once, on the login node:
#   python3 -m venv ~/mcgen && ~/mcgen/bin/pip install .          (or '.[mpi]', '.[cuda]': see the jobs)
# and then in every job:
#   module load python/3.12
#   source ~/mcgen/bin/activate

# As many threads as Slurm gave this task, and no more: without this, every task of a node would start a thread for each
# of its cores. Kernels take the number from Numba, libraries of linear algebra from the others. Results do not depend on
# it.
export NUMBA_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
export OMP_NUM_THREADS="$NUMBA_NUM_THREADS" OPENBLAS_NUM_THREADS="$NUMBA_NUM_THREADS"
# Threads stay on the cores that they have been given.
export OMP_PROC_BIND=close OMP_PLACES=cores

# Compiled kernels are kept on a disk of the node: many processes that write one folder on a network disk get in each
# other's way, and wait for it. Compiling takes a minute for each job. Set NUMBA_CACHE_DIR yourself for another folder, or
# to nothing to keep them beside the package.
if [[ -z ${NUMBA_CACHE_DIR+given} ]]; then
    NUMBA_CACHE_DIR="$(mktemp -d "${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/mcgen-kernels-XXXXXXXX")"
    trap 'rm -rf "$NUMBA_CACHE_DIR"' EXIT
fi
export NUMBA_CACHE_DIR

# HDF5 locks files with a call that many parallel file systems (Lustre, BeeGFS, NFS) do not have, and then does not open
# them at all. The lock guards against two writers of one file. Here there are none: each task, and each rank of MPI,
# writes a file of its own.
export HDF5_USE_FILE_LOCKING=FALSE

# Where results go.
OUTPUT_DIR="${OUTPUT_DIR:-${SLURM_SUBMIT_DIR:-.}}"
mkdir -p "$OUTPUT_DIR"

# Run a command and hand SIGTERM on to it. Slurm sends it to this shell before the time is over (#SBATCH --signal=B:TERM):
# a shell that waits for a command in the foreground would only notice after its end. mcgen then writes what is done.
run() {
    local status=0 child=""
    trap '[[ -z $child ]] || kill -TERM "$child" 2>/dev/null || true' TERM
    "$@" &
    child=$!
    wait "$child" || status=$?
    while kill -0 "$child" 2>/dev/null; do # the signal has ended the wait, and not yet the command
        status=0
        wait "$child" || status=$?
    done
    trap - TERM
    return "$status"
}

# After a command with this status: go on in success; end the job and put it into the queue again where there was too
# little time (75 after the time limit of the command, 143 after SIGTERM); otherwise end it with the error.
finish() {
    case "$1" in
        0) ;;
        75 | 143)
            echo "out of time: back to the queue, to go on where this ended"
            scontrol requeue "$SLURM_JOB_ID"
            exit 0
            ;;
        *)
            echo "failed with status $1" >&2
            exit "$1"
            ;;
    esac
}
