"""HDF5 files: read by a process of its own, as they may be damaged or hostile, and made by Python.

The HDF5 library crashes or loops without end on some damaged files: on four of 1000 files of mcgen in which a few bytes
were changed at random. So `read` lets another process open the file (`server.py`), with limits of memory and time, and
takes from it a listing and the numbers, or parts of them. That process is `sys.executable`, started at the first file;
it forks for each. On a Xeon this takes 0.2 seconds once and 20 milliseconds for a small file, of which HDF5 alone takes
5. It unpacks while this one checks: 200 MB of states as mcgen compresses them take 1.1 (spins) to 1.2 times (float64)
as long as h5py takes alone; 500 MB that are not compressed take three times as long, 0.6 seconds. Threads have a
process each, and so have processes that are forked. macOS does not limit the memory; Windows cannot fork, so there the
process itself opens the files, one after the other, without that limit, and another takes its place after one that HDF5
refuses.

Only the file itself is read, and what its virtual datasets refer to beside it. Links are not followed.
"""

from mcgen.hdf5.reading import DAMAGED, Entry, Group, Listing, is_hdf5, printable, read
from mcgen.hdf5.writing import NewFile

__all__ = ["DAMAGED", "Entry", "Group", "Listing", "NewFile", "is_hdf5", "printable", "read"]
