"""Are the error bars right? Every sampler against exact averages, over many independent runs.

Question: if a run quotes 1.234(5), is the truth within 0.005 of it as often as a normal distribution says? For every
sampler, lattice and temperature, independent runs give pulls (estimate - exact) / quoted error of the energy, the heat
capacity, <|M|>, the susceptibility (<M^2> - <|M|>^2) / T and the ratio <M^4> / <M^2>^2. If the sampler and its error
bars are right, pulls have the mean 0 and the standard deviation 1. A wrong sampler moves the mean, a wrong error bar
the deviation.
Reference: exact sums, the transfer matrix, and Kaufman's closed form. What these do not give, the magnetisation of
tori of 16 x 16 and more, is compared with a Wolff run that has 200 times the draws, marked ~. It is no exact value: its
error is part of the pulls, and the lines below the table compare its energy and heat capacity with Kaufman's. A
cylinder of 16 x 16 is exact in everything.
Expected: all means within 0.3 of 0 and all deviations between 0.8 and 1.2, a ! marks those that are not. Over 200 runs
chance moves means by 0.07 and deviations by 0.05, and the errors of the errors, with some hundred independent draws in
the slowest runs, widen pulls by up to 0.06. The squares in a susceptibility have a skewed distribution: an estimate
that is too low quotes an error that is too small, so that means of -0.1 are no mistake.
Time: a minute with --quick; otherwise about an hour on two cores.

    python scripts/validate_samplers.py --quick
    python scripts/validate_samplers.py --output validate_samplers.h5 --figure validate_samplers.png
    python scripts/validate_samplers.py --methods wolff tempering --sizes 16 --temperatures 2.0 2.5

Runs come by tens from one call of the sampler, each with eight chains of its own. Tempering has all temperatures in one
run, so that its rows are not independent of each other.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import platform
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
from study_parts import command
from tqdm import tqdm
from validation_parts import table
from validation_parts.jobs import CRITICAL, RUNS_PER_CALL, SAMPLERS, Job, jobs, name, seconds
from validation_parts.pulls import reference, rows

from mcgen import backend, checks, ising, provenance, report, results, rng
from mcgen.errors import InputError
from mcgen.progress import progress, until_interrupted
from mcgen.stats import Estimate


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = command.parser_of(__doc__)
    temperatures = [1.8, CRITICAL, 3.0]
    add = parser.add_argument
    add("--methods", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS), help="samplers")
    add("--sizes", type=int, nargs="*", default=[4, 8, 16, 32], help="sites along the axes of tori")
    add("--cylinders", type=int, nargs="*", default=[16], help="the same, with the first axis open")
    add("--temperatures", type=float, nargs="+", default=temperatures, help="in units of J")
    add("--runs", type=int, default=200, help="independent runs of each, a multiple of ten")
    add("--processes", type=int, default=os.cpu_count(), help="with one thread each")
    command.add_common(parser, "validate_samplers", "of all rows (or .json)")
    parser.set_defaults(output=None, figure=None)  # hours of work are looked at before they are written
    arguments = parser.parse_args(argv)
    if arguments.quick:
        arguments.sizes, arguments.cylinders = [8], []
    return arguments


def asked_for(arguments: argparse.Namespace) -> list[Job]:
    """What the command line asks for; errors before work."""
    rng.split_seed(arguments.seed)
    checks.integer("--processes", arguments.processes, 1)
    if arguments.runs < 2 * RUNS_PER_CALL or arguments.runs % RUNS_PER_CALL:
        raise InputError(f"--runs {arguments.runs} is no multiple of {RUNS_PER_CALL} from 20 on; give 100 or more")
    temperatures = tuple(checks.positive("--temperatures", temperature) for temperature in arguments.temperatures)
    if "tempering" in arguments.methods and len(set(temperatures)) < max(2, len(temperatures)):
        raise InputError(
            f"tempering needs two or more different temperatures, and got --temperatures {list(temperatures)}; "
            "add one, or leave tempering out of --methods"
        )
    tori = [ising.Ising((size, size)) for size in arguments.sizes]
    cylinders = [ising.Ising((size, size), periodic=(False, True)) for size in arguments.cylinders]
    found = jobs(arguments.methods, tori + cylinders, temperatures)
    if not found:
        raise InputError("none of the --methods is for any of the lattices and temperatures; name others")
    return found


@contextlib.contextmanager
def in_processes(n_processes: int) -> Iterator[Callable]:
    """A `map` that works in processes of one thread each: runs are many and small, and do not wait for each other."""
    if n_processes == 1:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(n_processes, one_thread) as pool:
        yield pool.imap


def one_thread() -> None:
    """In each process, before work. Ctrl-C is for the process that started it, which then ends this one."""
    numba.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tqdm.set_lock(threading.RLock())  # its own would be a semaphore, left behind when the process is ended


def references(todo: list[Job], seed: int, run: Callable) -> tuple[dict[tuple, dict[str, Estimate]], list[dict]]:
    """What each lattice and temperature is compared with, and the pulls of what is sampled."""
    places = list(dict.fromkeys((job.lattice, temperature) for job in todo for temperature in job.temperatures))
    seeds = [rng.derive(seed, k) for k in range(len(places))]
    found, sampled = {}, []
    with progress(len(places), "references", True) as bar:
        for place, (known, off) in zip(places, run(reference_at, zip(places, seeds, strict=True)), strict=True):
            found[place] = known
            if off:
                sampled.append({"lattice": name(place[0]), "temperature": place[1], "pulls": off})
            bar.update(1)
    return found, sampled


def reference_at(work: tuple) -> tuple[dict[str, Estimate], dict[str, float]]:
    """`reference` of one piece of work."""
    (lattice, temperature), seed = work
    return reference(lattice, temperature, seed)


def rows_of(work: tuple) -> list[dict]:
    """`rows` of one piece of work."""
    return rows(*work)


def study(todo: list[Job], known: dict, n_calls: int, seed: int, run: Callable) -> tuple[list[dict], bool]:
    """All rows, printed as they are done, and whether Ctrl-C cut them short."""
    work = [
        (job, [known[job.lattice, temperature] for temperature in job.temperatures], n_calls, rng.derive(seed, k))
        for k, job in enumerate(todo)
    ]
    costs = [round(1000 * seconds(job)) for job in todo]
    tqdm.write(table.header())
    done = iter(run(rows_of, work))
    with progress(sum(costs), "runs", True) as bar:

        def next_rows(k: int) -> list[dict]:
            found = next(done)
            tqdm.write("\n".join(map(table.line, found)))
            bar.update(costs[k])
            return found

        found, interrupted = until_interrupted(next_rows, len(todo))
    return [row for one in found for row in one], interrupted


def save(arguments: argparse.Namespace, content: dict[str, object], status: str) -> None:
    """Write the files that were asked for."""
    attributes = {"platform": platform.platform(), "device": backend.target("cpu").describe()}
    if arguments.output and Path(arguments.output).suffix == ".json":
        attributes = provenance.attributes(vars(arguments), status) | attributes
        with results.written_beside(Path(arguments.output)) as beside:
            beside.write_text(json.dumps({"attributes": attributes} | content, indent=1) + "\n")
    elif arguments.output:
        with command.new_file(arguments.output, vars(arguments), status) as file:
            group = results.open_table(file, "pulls", "row", "means and deviations of (estimate - reference) / error")
            for name, values in table.columns(content["results"]).items():
                group.add(name, (), values)
            names = {name: json.dumps([row[name] for row in content["results"]]) for name in ("sampler", "lattice")}
            group.hdf.attrs.update(attributes | names | content["totals"])
            group.close()
    if arguments.figure:
        report.save_figure(table.draw(content["results"]), arguments.figure, dpi=110)


def main(argv: list[str] | None = None) -> int:
    """Run the study; the exit status is 1 if a mean or a deviation is outside of its limits."""
    return command.run("validate_samplers", parse(argv), validate, "before the first row was done")


def validate(arguments: argparse.Namespace) -> command.Ended:
    """All rows that are asked for, with their totals."""
    todo = asked_for(arguments)
    n_calls = arguments.runs // RUNS_PER_CALL
    with in_processes(arguments.processes) as run:
        known, sampled = references(todo, rng.derive(arguments.seed, 0), run)
        found, interrupted = study(todo, known, n_calls, rng.derive(arguments.seed, 1), run)
    result, status = table.totals(found), command.status_of(interrupted)
    print(table.summary(result, sampled))
    save(arguments, {"totals": result, "references": sampled, "results": found}, status)
    return command.Ended(status, int(result["outside"] > 0))


if __name__ == "__main__":
    sys.exit(main())
