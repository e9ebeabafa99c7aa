"""One process, or several that MPI has started: who this one is, what its share of the work is, what all know together.

`mpiexec -n 4 mcgen ...` starts four processes, the ranks 0 to 3. Random numbers are addressed by the number of a chain
(see `mcgen.rng`), so that a rank draws its share of the chains as one process would have drawn them, and whatever is
computed from all chains is computed on every rank from the same numbers in the same order: results do not depend on the
number of ranks. mpi4py is imported only where several ranks were started.

`ranks` has the processes, `chains` what is shared out among them, `launch` how they find each other and how they end.
"""

from mcgen.parallel.chains import Grid, Part, cut, grid, whole
from mcgen.parallel.launch import end_all, list_processes, local_rank, quiet_unless_first, started, world
from mcgen.parallel.ranks import ALONE, World, refuse_resume

__all__ = [
    "ALONE",
    "Grid",
    "Part",
    "World",
    "cut",
    "end_all",
    "grid",
    "list_processes",
    "local_rank",
    "quiet_unless_first",
    "refuse_resume",
    "started",
    "whole",
    "world",
]
