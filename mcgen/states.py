"""What objects remember that go on from call to call: taken as plain numbers and arrays, and put back.

A class names the attributes that its state is made of in `KEPT`; everything else follows from the arguments of its
constructor. An object that is made with the same arguments and given the state of another goes on as that would have.
Where attributes do not say it all, a class has the methods `state()` and `go_on(state)`.
"""

import numpy as np

from mcgen.errors import InputError

State = dict | list | np.ndarray | int | float | str | bool | None


def taken(thing: object) -> State:
    """A copy of what an object remembers: its `KEPT` attributes by name, and so on inside of these.

    Parameters
    ----------
    thing : object with KEPT, array, number, str, None, or list or tuple of these
        Arrays may be on a device.

    Returns
    -------
    dict, list, array, number, str or None
        Tuples become lists, and tuples again when they are put back: these have a fixed length, lists do not.

    Examples
    --------
    >>> import numpy as np
    >>> from mcgen import states
    >>> class Walker:
    ...     KEPT = ("place", "n_steps")
    ...     def __init__(self):
    ...         self.place, self.n_steps = np.zeros(2), 0
    >>> first, second = Walker(), Walker()
    >>> first.place[0], first.n_steps = 3.0, 5
    >>> states.put_back(second, states.taken(first))
    >>> second.place.tolist(), second.n_steps
    ([3.0, 0.0], 5)
    """
    if callable(getattr(thing, "state", None)):
        return thing.state()
    if hasattr(thing, "KEPT"):
        return {name: taken(getattr(thing, name)) for name in thing.KEPT}
    if isinstance(thing, list | tuple):
        return [taken(one) for one in thing]
    if hasattr(thing, "copy_to_host"):
        return thing.copy_to_host()
    if isinstance(thing, np.ndarray | np.generic):
        return np.array(thing, order="C")
    return thing


def put_back(thing: object, state: dict) -> None:
    """Give an object the state that was taken of another (it is modified).

    Parameters
    ----------
    thing : object with KEPT
    state : dict
        From `taken`.

    Raises
    ------
    InputError
        If the state is that of another kind of object, or its arrays have other shapes.
    """
    if not isinstance(state, dict) or any(name not in state for name in thing.KEPT):
        raise InputError(f"the state is not that of {type(thing).__name__}; give the one that was kept of it")
    for name in thing.KEPT:
        now, kept = getattr(thing, name), state[name]
        if hasattr(now, "go_on"):
            now.go_on(kept)
        elif hasattr(now, "KEPT"):
            put_back(now, kept)
        else:
            setattr(thing, name, _like(now, kept, f"{type(thing).__name__}.{name}"))


def _like(now: object, kept: State, name: str) -> object:
    """What was kept, checked against what is there now: kernels trust the shapes of their arrays."""
    if hasattr(now, "copy_to_host") or isinstance(now, np.ndarray):
        if not isinstance(kept, np.ndarray) or (kept.shape, kept.dtype) != (now.shape, now.dtype):
            found = f"{kept.dtype} {kept.shape}" if isinstance(kept, np.ndarray) else repr(kept)
            raise InputError(f"the state has {found} as {name}, which is {now.dtype} {now.shape}; it is of another run")
        if hasattr(now, "copy_to_host"):
            now.copy_to_device(kept)
            return now
        return kept.copy()
    if isinstance(now, tuple):
        if not isinstance(kept, list) or len(kept) != len(now):
            raise InputError(f"the state has no {len(now)} parts as {name}; it is of another run")
        return tuple(_like(*pair, name) for pair in zip(now, kept, strict=True))
    if isinstance(kept, list):
        return [_like(None, one, name) for one in kept]
    if isinstance(kept, np.ndarray):
        return kept.copy() if kept.ndim else kept[()]
    return kept
