"""Runs in blocks: burn-in and draws in pieces short enough for progress, Ctrl-C, checkpoints and memory."""

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from mcgen import checks, states
from mcgen.progress import progress as progress_bar

Block = TypeVar("Block")


class Plan(NamedTuple):
    """What a run consists of.

    burn_in, thin, n_draws : int
        Sweeps before the first draw, sweeps from draw to draw, draws of each chain.
    sweeps_at_once, draws_at_once : int
        The longest pieces of both.
    label : str
        For the progress.
    progress : bool
        Whether it is shown.
    """

    burn_in: int
    thin: int
    n_draws: int
    sweeps_at_once: int
    draws_at_once: int
    label: str
    progress: bool


class Blocks(Generic[Block]):
    """An iterator over the blocks of a run, which can go on where another one ended.

    How draws are divided into blocks is of no meaning.

    Parameters
    ----------
    walkers : object
        With the method `burn_in(n_sweeps)`, and a state for `mcgen.states`.
    plan : Plan
    draw : callable
        draw(n_draws, thin, is_last) moves the walkers, and returns the block. After the last one none is missing.
    resume : dict, optional
        The `state()` of a run with the same arguments.

    Attributes
    ----------
    n_burnt, n_drawn : int
        Sweeps of burn-in, and draws of each chain, that are done.

    Examples
    --------
    >>> from mcgen.blocks import Blocks, Plan
    >>> class Counter:
    ...     KEPT = ("n",)
    ...     n = 0
    ...     def burn_in(self, n_sweeps):
    ...         self.n += n_sweeps
    ...     def draw(self, n_draws, thin, is_last):
    ...         self.n += n_draws * thin
    ...         return self.n
    >>> first, second = Counter(), Counter()
    >>> plan = Plan(5, 2, 4, sweeps_at_once=3, draws_at_once=2, label="counting", progress=False)
    >>> blocks = Blocks(first, plan, first.draw)
    >>> next(blocks)
    9
    >>> list(Blocks(second, plan, second.draw, resume=blocks.state()))
    [13]
    """

    def __init__(
        self, walkers: object, plan: Plan, draw: Callable[[int, int, bool], Block], resume: dict | None = None
    ):
        self.n_burnt = self.n_drawn = 0
        self._walkers, self._plan, self._draw = walkers, plan, draw
        if resume is not None:
            self.n_burnt = checks.integer("n_burnt of the state", resume["n_burnt"], 0, plan.burn_in)
            self.n_drawn = checks.integer("n_drawn of the state", resume["n_drawn"], 0, plan.n_draws)
            states.put_back(walkers, resume["walkers"])
        self._pieces = self._work()

    @property
    def n_missing(self) -> int:
        """Draws of each chain that are still to come."""
        return self._plan.n_draws - self.n_drawn

    def __iter__(self) -> Iterator[Block]:
        return self

    def __next__(self) -> Block:
        for _ in self.burn_in():
            pass
        return next(self._pieces)

    def burn_in(self) -> Iterator[None]:
        """Do what is missing of the burn-in, which comes by itself before the first draw otherwise: for checkpoints.

        Yields after every piece.
        """
        while self.n_burnt < self._plan.burn_in:
            yield next(self._pieces)

    def state(self) -> dict:
        """What the run goes on from after the last block or piece of burn-in."""
        return {"n_burnt": self.n_burnt, "n_drawn": self.n_drawn, "walkers": states.taken(self._walkers)}

    def _work(self) -> Iterator[Block | None]:
        plan = self._plan
        total, done = plan.burn_in + plan.n_draws * plan.thin, self.n_burnt + self.n_drawn * plan.thin
        with progress_bar(total, plan.label, plan.progress, done) as bar:
            while self.n_burnt < plan.burn_in:
                n_now = min(plan.sweeps_at_once, plan.burn_in - self.n_burnt)
                self._walkers.burn_in(n_now)
                self.n_burnt += n_now
                yield None
                bar.update(n_now)
            while self.n_drawn < plan.n_draws:
                n_now = min(plan.draws_at_once, plan.n_draws - self.n_drawn)
                yield self._drawn(n_now)  # held by whoever takes it alone
                bar.update(n_now * plan.thin)

    def _drawn(self, n_draws: int) -> Block:
        block = self._draw(n_draws, self._plan.thin, n_draws == self.n_missing)
        self.n_drawn += n_draws
        return block
