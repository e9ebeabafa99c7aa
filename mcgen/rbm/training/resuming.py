"""Going on with a training: whether it is the same one, and its history as rows again."""

from mcgen.errors import InputError
from mcgen.rbm.model import RBM
from mcgen.rbm.training.trained import Trained


def check_same(resume: Trained, model: RBM, settings: dict) -> None:
    """Raise `InputError` if a training with these settings does not go on from what another one returned.

    Parameters
    ----------
    resume : Trained
    model : RBM
        The start.
    settings : dict
    """
    if not isinstance(resume, Trained) or resume.model.weights.shape != model.weights.shape:
        raise InputError(f"resume is not a training of {model!r}; give what train returned, and the same model")
    if resume.state is None:
        raise InputError("resume has no state to go on from; give what train returned, or a file that holds it")
    constant = settings.get("final_learning_rate") is None and isinstance(settings.get("learning_rate"), int | float)
    for name, value in settings.items():
        before = resume.settings.get(name)
        if _plain(before) != _plain(value) and not (name == "epochs" and constant):
            raise InputError(
                f"{name}={value!r} differs from the {name}={before!r} of the training to go on with; give the same "
                "arguments"
            )


def rows_of(history: dict) -> list[dict[str, float]]:
    """The rows that `columns` made a history of."""
    columns = [column.tolist() for column in history.values()]
    return [dict(zip(history, row, strict=True)) for row in zip(*columns, strict=True)]


def _plain(value: object) -> object:
    """Sequences of numbers as lists, as they come from a file."""
    return [*map(float, value)] if isinstance(value, tuple | list) or hasattr(value, "__array__") else value
