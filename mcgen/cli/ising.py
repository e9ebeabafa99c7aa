"""`mcgen ising`: sample lattices, and print what is exact about them."""

import argparse
import itertools
from collections.abc import Callable

from mcgen import interruption
from mcgen.cli.arguments import (
    NO_SETTINGS,
    Parser,
    check_sampling,
    checkpoint_argument,
    command,
    configuration,
    device_argument,
    either,
    exchange_lines,
    one_of,
    output_arguments,
    per_site,
    refuse_unless,
    sampling_arguments,
    sampling_settings,
    survival_arguments,
    time_limit_argument,
)
from mcgen.cli.ranks import draw_in_parts, finish_together, in_step
from mcgen.errors import FileError

METHODS = ("metropolis", "heatbath", "wolff", "swendsen-wang", "tempering", "exact")
LADDERS = ("adaptive", "fixed")


def add_commands(rooms: argparse._SubParsersAction) -> None:
    """Add `mcgen ising` to the parser."""
    ising = rooms.add_parser("ising", help="Ising lattices: sample, exact")
    ising = ising.add_subparsers(required=True, metavar="WHAT")
    sample = command(
        ising, "sample", _sample, "Draw spin states by Monte Carlo. They are written to the file as they come.",
        "mcgen ising sample --shape 8 8 --temperature 1.8 2.269 3.0 --seed 7 --output ising.h5", _check_sample,
    )  # fmt: skip
    _lattice(sample)
    sampling_arguments(sample, chains=128, draws=200, thin=10, burn_in=500, methods=METHODS)
    add = sample.add_argument
    add("--kernel", default="auto", help="of single flips: auto, bit-sliced or single-flip")
    add("--moves", default=None, help="of tempering, between swaps: " + either(METHODS[:4]) + " (default: metropolis)")
    add("--ladder", default=None, help="of tempering: adaptive, with temperatures added, or fixed (default: adaptive)")
    add("--no-states", action="store_true", help="keep energies and magnetisations only")
    output_arguments(sample)
    survival_arguments(sample, swmr=True)
    sample.set_defaults(in_parts=True)
    exact = command(
        ising, "exact", _exact, "Print exact thermodynamics, by the quickest method that can.",
        "mcgen ising exact --shape 8 8 --temperature 2.269", _check_exact,
    )  # fmt: skip
    _lattice(exact)
    exact.add_argument("--method", default="auto", help="auto, enumeration, transfer or kaufman")
    checkpoint_argument(exact, "mcgen-ising-exact.checkpoint")
    time_limit_argument(exact)
    exact.set_defaults(in_parts=True)
    device_argument(exact)


def _lattice(command: Parser) -> None:
    command.add_argument("--shape", type=int, nargs="+", required=True, metavar="L", help="sites along each axis")
    command.add_argument(
        "--temperature", type=float, nargs="+", required=True, metavar="T", help="temperatures, with k_B = 1"
    )
    command.add_argument("--coupling", type=float, default=1.0, help="J of neighbours, positive is ferromagnetic")
    command.add_argument("--field", type=float, default=0.0, help="magnetic field B")
    command.add_argument("--open", action="store_true", help="open boundaries instead of periodic ones")


def _read_lattice(arguments: argparse.Namespace) -> tuple:
    """The lattice and its temperatures."""
    from mcgen import checks, ising

    lattice = ising.Ising(arguments.shape, arguments.coupling, arguments.field, not arguments.open)
    return lattice, [checks.positive("temperature", one) for one in arguments.temperature]


def _check_sample(arguments: argparse.Namespace) -> None:
    from mcgen import checks
    from mcgen.ising.methods import KERNELS

    _read_lattice(arguments)
    check_sampling(arguments, METHODS)
    settings = _settings(arguments)
    checks.choice("kernel", settings["kernel"], KERNELS)
    checks.choice("moves", settings["moves"], METHODS[:4])
    checks.choice("ladder", settings["ladder"], LADDERS)


def _check_exact(arguments: argparse.Namespace) -> None:
    from mcgen import checks
    from mcgen.ising.exact.planning import METHODS

    _read_lattice(arguments)
    checks.choice("method", arguments.method, ("auto", *METHODS))


def _sample(arguments: argparse.Namespace) -> int:
    from mcgen import ising, parallel, results, rng

    lattice, temperatures = _read_lattice(arguments)
    settings = _settings(arguments)
    world = parallel.world()
    if ising.shares.shares_replicas(lattice, **_shape_of(settings), world=world):
        settings |= {"world": world, "progress": world.rank == 0}
        if world.rank:
            return _draw_along(lattice, temperatures, arguments.seed, settings, world)
    elif world.size > 1:
        return _sample_in_parts(arguments, lattice, temperatures, settings, world)
    results.check_ranks(arguments.output, configuration(arguments), 1, arguments.overwrite)
    if arguments.method == "tempering":  # all temperatures together
        runs = [(temperatures, arguments.seed)]
    else:
        runs = [(one, rng.derive(arguments.seed, k)) for k, one in enumerate(temperatures)]
    file = stopped = None
    try:
        with results.stream_samples(
            arguments.output, arguments.draws, len(temperatures), arguments.overwrite, configuration(arguments),
            checkpoint_every=arguments.checkpoint_every, resume=arguments.resume, not_settings=NO_SETTINGS,
            swmr=arguments.swmr,
        ) as file:  # fmt: skip
            if file.earlier:
                print(_how(file.earlier[0], settings["moves"]))
                _report(file.earlier)
            first = file.n_complete if len(runs) == len(temperatures) else int(file.n_complete > 0)
            if world.size > 1:
                world.from_first((file.n_complete, file.state))
            for k, (temperature, seed) in enumerate(runs[first:]):
                blocks = ising.stream(lattice, temperature, seed=seed, **settings, resume=file.state)
                with in_step(world) as piece_ends:
                    draw(file, blocks, piece_ends)
                if k == 0 and not file.earlier:
                    print(_how(file.runs[0], settings["moves"]))
                _report(file.runs)
    except (KeyboardInterrupt, FileError) as caught:
        if file is None or file.kept == (0, 0):
            raise
        # After the last draw there is nothing to stop.
        if isinstance(caught, FileError) or file.kept != (len(temperatures), arguments.draws):
            stopped = caught
    n_temperatures, n_draws = file.kept
    missing = f"{n_temperatures} of {len(temperatures)} temperatures"
    if n_draws < arguments.draws:
        missing = f"{n_draws} of {arguments.draws} draws at T = " + ", ".join(
            f"{run.temperature:g}" for run in file.runs
        )
    print(f"wrote {arguments.output}" + f", interrupted: {missing}" * (stopped is not None))
    if isinstance(stopped, FileError):
        raise stopped
    return interruption.exit_status() if stopped else 0


def draw(file, blocks, piece_ends: Callable[[], None] = lambda: None) -> None:  # noqa: ANN001 - imported late
    """Write the blocks of a stream as they come, with checkpoints before and between them."""
    for _ in blocks.burn_in():
        file.checkpoint(blocks)
        piece_ends()
    for block in blocks:
        file.append(block, blocks)
        if blocks.n_missing:
            piece_ends()


def _draw_along(lattice, temperatures: list[float], seed: int, settings: dict, world) -> int:  # noqa: ANN001
    """What ranks do that share out the replicas of a ladder with rank 0, which has all draws and keeps them."""
    from mcgen import ising

    n_complete, state = world.from_first(None)
    if n_complete:
        return 0
    blocks = ising.stream(lattice, temperatures, seed=seed, **settings, resume=state)
    try:
        with in_step(world) as piece_ends:
            for _ in itertools.chain(blocks.burn_in(), blocks):
                blocks.state()  # of all replicas: rank 0 keeps it
                if blocks.n_missing:
                    piece_ends()
    except KeyboardInterrupt:
        return interruption.exit_status()
    return 0


def _sample_in_parts(arguments: argparse.Namespace, lattice, temperatures: list[float], settings: dict, world) -> int:  # noqa: ANN001
    """The same on several ranks, each of which writes the temperatures and chains that are its own."""
    from mcgen import ising, results, rng

    is_tempering = arguments.method == "tempering"  # all temperatures together

    def draw_part(opened: Callable, entries: slice, column) -> None:  # noqa: ANN001
        runs = [(temperatures[k], rng.derive(arguments.seed, k)) for k in range(entries.start, entries.stop)]
        if is_tempering:
            runs = [(temperatures, arguments.seed)]
        own = settings | {"world": column, "progress": world.rank == 0}
        with opened() as file:
            for temperature, seed in runs[int(file.n_complete > 0) if is_tempering else file.n_complete :]:
                draw(file, ising.stream(lattice, temperature, seed=seed, **own, resume=file.state))
            finish_together(file, column)

    together = ising.shares.chains_per_share(lattice, **_shape_of(settings))
    remembered, n_temperatures = configuration(arguments), len(temperatures)
    status = draw_in_parts(arguments, remembered, world, n_temperatures, together, draw_part, divided=not is_tempering)
    if world.rank == 0 and status == 0:
        runs = results.load(arguments.output, keep_states=False)
        runs = runs if isinstance(runs, list) else [runs]
        print(_how(runs[0], settings["moves"]))
        _report(runs)
    return status


def _shape_of(settings: dict) -> dict:
    """What decides how a run can be shared out."""
    return {name: settings[name] for name in ("n_chains", "method", "device", "kernel", "moves")}


def _settings(arguments: argparse.Namespace) -> dict:
    """What `ising.stream` takes, but for the seed."""
    settings = sampling_settings(arguments) | {"keep_states": not arguments.no_states, "kernel": arguments.kernel}
    refuse_unless(arguments, ("moves", "ladder"), "method", "tempering")
    return settings | {"moves": arguments.moves or "metropolis", "ladder": arguments.ladder or "adaptive"}


def _how(run, moves: str) -> str:  # noqa: ANN001 - the rooms are imported late
    """What drew a run."""
    of_moves = f" of {moves} moves" * (run.method == "tempering")
    return f"method {run.method}{of_moves}, kernel {run.kernel}"


def _report(runs: list) -> None:
    """Print the observables of runs; warn where their burn-in was too short."""
    from mcgen import observables
    from mcgen.ising.sampling import warn_of_short_burn_in

    for run in runs:
        if run.method != "exact":
            warn_of_short_burn_in(run.energy, run.magnetization, run.temperature, run.thin)
        summary = observables.summary(run, run.lattice, run.temperature)
        print(f"T = {run.temperature:g}: {per_site(summary, run.lattice.n_sites)}")
    exchange = runs[0].exchange
    if exchange is not None:
        print("\n".join(exchange_lines("temperatures", "T", exchange.temperatures, exchange, len(runs[0].energy))))


def _exact(arguments: argparse.Namespace) -> None:
    from mcgen import ising, parallel

    world = parallel.world()
    lattice, temperatures = _read_lattice(arguments)
    for k, temperature in enumerate(temperatures):
        checkpoint = one_of(arguments.checkpoint, k, len(temperatures))
        thermo = ising.exact.thermodynamics(
            lattice,
            temperature,
            arguments.device,
            arguments.method,
            progress=world.rank == 0,
            checkpoint=checkpoint,
            world=world,
        )
        print(f"T = {temperature:g}, by {thermo.method}")
        print(f"{'log Z':26} {thermo.log_partition:16.10f}")
        for name in ("free_energy", "energy", "heat_capacity", "entropy", "abs_magnetization", "susceptibility"):
            words = name.replace("abs_magnetization", "|magnetization|").replace("_", " ") + " per site"
            value = getattr(thermo, name) / lattice.n_sites
            print(f"{words:26} {value:16.10f}" if value == value else f"{words:26} not given by this method")
