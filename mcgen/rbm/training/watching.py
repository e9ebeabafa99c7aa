"""How well the chains of a training mix, and log Z along the way."""

import math

from mcgen.rbm.model import RBM

COLUMNS = (
    "tracked_log_partition", "tracked_log_partition_error", "r_hat", "autocorrelation_time", "effective_chains",
)  # fmt: skip


class Watching:
    """What is recorded during an epoch, and said of it after."""

    def __init__(self, model, negative, gibbs_steps, persistent, is_quick, seed, device):  # noqa: ANN001
        self.gibbs_steps = 5 if gibbs_steps == "auto" else gibbs_steps

    def epoch_begins(self, model: RBM, evaluate: bool) -> None:
        """An epoch begins."""

    def stepped(self) -> None:
        """A step was made."""

    def columns(self, model: RBM, log_partition: float) -> dict[str, float]:
        """The columns of the history."""
        return dict.fromkeys(COLUMNS, math.nan) | {"gibbs_steps": float(self.gibbs_steps)}
