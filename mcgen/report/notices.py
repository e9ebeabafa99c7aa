"""What a person should know of a file before believing it."""

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np

from mcgen import rbm, stats, vae
from mcgen.errors import StatisticsWarning
from mcgen.results import Study

# Looks at the chains of a training, one after the other, that have to find them stuck.
STUCK_LOOKS = 2


@contextlib.contextmanager
def gathered(notices: list[str]) -> Iterator[None]:
    """Warnings about statistics go to a list, once each, instead of being shown.

    Examples
    --------
    >>> import warnings
    >>> from mcgen.errors import StatisticsWarning
    >>> from mcgen.report.notices import gathered
    >>> notices = []
    >>> with gathered(notices):
    ...     warnings.warn("few draws", StatisticsWarning)
    >>> notices
    ['few draws']
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StatisticsWarning)
        yield
    for one in caught:
        if not issubclass(one.category, StatisticsWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        elif str(one.message) not in notices:
            notices.append(str(one.message))


def of_file(study: Study) -> list[str]:
    """What the file says of itself: its status, and how its trainings went."""
    found = []
    status = study.attributes.get("status", "complete")
    if status == "interrupted":
        found.append("the run was interrupted: the file holds what was done until then")
    elif status != "complete":
        found.append(f"the run has the status {status}, not complete: the file holds what was done so far")
    for k, one in enumerate(study.trained):
        several = len(study.trained) > 1
        label = f" of T = {study.temperatures[k]:g}" if study.temperatures and several else f" {k + 1}" * several
        found += [f"the training{label} {words}" for words in _of_training(one)]
    return found


def _of_training(one: rbm.Trained | vae.Fit) -> list[str]:
    epochs = one.history["epoch"]
    found = []
    if one.interrupted:
        planned = one.settings.get("epochs")
        of = f" of {planned}" * isinstance(planned, int)
        found.append(f"was interrupted after {len(epochs)}{of} epochs")
    if not len(epochs):
        return found
    if isinstance(one, rbm.Trained):
        return found + _of_chains(one)
    active = one.history.get("active_units", np.array([np.nan]))[-1]
    if active == 0:
        found.append("ended with none of its latents active: the model says the same of every row")
    return found


def _of_chains(one: rbm.Trained) -> list[str]:
    found, limit = [], stats.diagnosis.LARGEST_R_HAT
    r_hat = one.history.get("r_hat", np.array([]))
    looks = r_hat[np.isfinite(r_hat)][-STUCK_LOOKS:]
    # Weighted chains need not mix.
    if one.settings.get("negative_phase") != "weighted" and len(looks) == STUCK_LOOKS and (looks > limit).all():
        found.append(
            f"had chains that stopped mixing: at the end they disagree (split R-hat {looks[-1]:.3g}, above {limit:g}), "
            "and the weights of separate modes may be wrong; use more Gibbs steps, chains with weights, or tempering"
        )
    tracked = np.isfinite(one.history.get("tracked_log_partition", np.array([])))
    if tracked.any() and not tracked[-1]:
        last = one.history["epoch"][np.flatnonzero(tracked)[-1]]
        found.append(f"lost log Z after epoch {last}: estimate that of the last model by 'mcgen rbm logz'")
    return found
