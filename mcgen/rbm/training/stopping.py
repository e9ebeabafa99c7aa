"""Early stopping: end a training when the validation rows do not become more probable any more."""

import math

from mcgen import checks
from mcgen.errors import InputError
from mcgen.rbm.model import RBM


class Stopping:
    """Remembers the best model so far, and says when to stop.

    Parameters
    ----------
    patience : int or None
        Epochs without improvement; None never stops.
    has_validation : bool
    has_log_partition : bool
        Whether log Z is known in some way: without it, likelihoods of different models cannot be compared.

    Raises
    ------
    InputError
        If patience is asked for and there is nothing to judge by.

    Attributes
    ----------
    best : RBM or None
    ended : bool
    """

    def __init__(self, patience: int | None, has_validation: bool, has_log_partition: bool):
        self.best: RBM | None = None
        self.ended = False
        self._value, self._waited = -math.inf, 0
        if patience is not None:
            patience = checks.integer("patience", patience, 1)
            if not has_validation:
                raise InputError(
                    f"patience={patience} needs validation rows to judge by; give validation, or leave it out"
                )
            if not has_log_partition:
                raise InputError(
                    f"patience={patience} needs log Z, which is not summed for a model of this size and not followed "
                    "with negative_phase='cd'; take 'pcd', or a callback that judges by something else"
                )
        self._patience = patience

    def state(self) -> dict:
        """What is remembered: see `mcgen.states`."""
        best = None if self.best is None else list(self.best.parameters)
        return {"best": best, "value": self._value, "waited": self._waited, "ended": self.ended}

    def go_on(self, state: dict, model: RBM) -> None:
        """Take up the state of another training of this model."""
        self.best = None if state["best"] is None else model.replace(*state["best"])
        self._value, self._waited, self.ended = (state[name] for name in ("value", "waited", "ended"))

    @property
    def judges(self) -> bool:
        """Whether every epoch is to be judged."""
        return self._patience is not None

    def judge(self, model: RBM, row: dict[str, float]) -> None:
        """Take in an epoch."""
        if self._patience is None:
            return
        if row["validation_log_likelihood"] > self._value:
            self.best, self._value, self._waited = model, row["validation_log_likelihood"], 0
        else:
            self._waited += 1
            self.ended = self._waited >= self._patience
