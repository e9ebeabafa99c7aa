"""Where a result came from: what is written beside every result so that it can be made again."""

import datetime
import functools
import json
import shlex
import subprocess
import sys
from importlib import metadata

import numba

LIBRARIES = ("numpy", "scipy", "numba", "llvmlite", "h5py")
GENERATOR = "Philox4x32-10"


@functools.cache  # the code that runs is that of the start
def git_commit() -> str | None:
    """The commit of the repository of the working directory, if there is one."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def attributes(configuration: dict, status: str) -> dict[str, str | int]:
    """The root attributes of a file.

    Parameters
    ----------
    configuration : dict
        All settings of the run; `seed` and `device`, where they are there, also become attributes of their own.
    status : {"complete", "interrupted"}

    Returns
    -------
    dict
        mcgen_version, created (UTC, ISO 8601), command_line, configuration (JSON), generator, threads,
        library_versions (JSON), python_version, status; seed, device and git_commit where they are known.

    Examples
    --------
    >>> from mcgen import provenance
    >>> provenance.attributes({"seed": 7}, "complete")["seed"]
    7
    """
    result = {
        "mcgen_version": metadata.version("mcgen"),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command_line": shlex.join(sys.argv),
        "configuration": json.dumps(configuration, default=str),
        "generator": GENERATOR,
        "threads": numba.get_num_threads(),
        "library_versions": json.dumps({name: metadata.version(name) for name in LIBRARIES}),
        "python_version": sys.version.split()[0],
        "status": status,
    }
    if configuration.get("seed") is not None:
        result["seed"] = int(configuration["seed"])
    if configuration.get("device") is not None:
        result["device"] = str(configuration["device"])
    commit = git_commit()
    if commit:
        result["git_commit"] = commit
    return result
