"""A row of the results: one piece of work, what it takes, what others take for it, and what it takes at least."""

from collections.abc import Mapping

from benchmark_parts.alternating import Quickest
from benchmark_parts.measuring import scaled


def row(
    work: str,
    own: Mapping,
    peers: Mapping[str, Mapping] | None = None,
    limit: str = "",
    limit_seconds: float = 0.0,
    per: float = 1.0,
    **more: object,
) -> dict:
    """What was measured, in seconds of one piece of work.

    Parameters
    ----------
    work : str
        What it is.
    own : mapping
        seconds, quartiles and runs of mcgen, for so many pieces of work as `per` says; what else is in it is kept.
    peers : mapping, optional
        By the name of a peer, what it took for one piece (seconds) and whatever else is to be kept of it.
    limit : str, optional
        What cannot be left out.
    limit_seconds : float, optional
        How long it takes for one piece.
    per : float, optional
    **more
        Further entries.

    Returns
    -------
    dict
        work, seconds, quartiles, runs, peers, ratios (times of the peers over that of mcgen), limit, limit_seconds,
        fraction (of the limit that is reached: limit_seconds / seconds), and the further entries.
    """
    one = {"work": work} | scaled(dict(own), 1.0 / per)
    seconds = one["seconds"]
    peers = {name: dict(peer) for name, peer in (peers or {}).items()}
    one |= {"peers": peers, "ratios": {name: peer["seconds"] / seconds for name, peer in peers.items()}}
    if limit:
        one |= {"limit": limit, "limit_seconds": limit_seconds, "fraction": limit_seconds / seconds}
    return one | more


def of_turns(work: str, quickest: Mapping[str, Quickest], runs: int, products: float = 1.0, per: float = 1.0) -> dict:
    """A row of contenders that took turns: "mcgen", "floor" (its matrix products alone, if measured), and peers.

    The floor is measured for one sweep of products, of which the work has so many as `products` says; the others for
    `per` pieces of work.
    """
    peers = dict(quickest)
    own, floor = peers.pop("mcgen"), peers.pop("floor", None)
    times = {name: {"form": peer.form, "seconds": peer.seconds / per} for name, peer in peers.items()}
    limit = {}
    if floor:
        limit = {"limit": "matrix products", "limit_seconds": products * floor.seconds, "limit_form": floor.form}
    return row(work, {"seconds": own.seconds, "quartiles": own.quartiles, "runs": runs}, times, per=per, **limit)


def of_samplers(work: str, samplers: Mapping[str, Mapping]) -> dict:
    """A row of the quickest of several samplers, the others beside it as peers."""
    quickest = min(samplers, key=lambda method: samplers[method]["seconds"])
    others = {method: one for method, one in samplers.items() if method != quickest}
    return row(f"{work}, {quickest}", samplers[quickest], others)
