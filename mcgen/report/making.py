"""From a file to its report."""

import dataclasses
import warnings
from pathlib import Path

from matplotlib.figure import Figure

from mcgen import ising, results
from mcgen.errors import FileError, InputError, McgenError, StatisticsWarning
from mcgen.report import autoencoders, contents, lattices, page, parts
from mcgen.report import output as files
from mcgen.results import Study
from mcgen.results.autoencoders import Model


def report(
    source: Study | str | Path, output: str | Path, overwrite: bool = False, data: str | Path | None = None
) -> Path:
    """Show what a file holds, with exact values beside measured ones: as one figure, or as an HTML page.

    Of samples: observables against the temperature, configurations, chains, distributions, and swaps along a ladder. Of
    trained RBMs: the learning curve, how the chains of the training mixed, the probability of every state in the model
    against the truth (or, where states cannot be enumerated, the magnetisation), the weights of each hidden unit as an
    image of the lattice, states drawn from the model, and the singular values of the weights along stored models. Of
    autoencoders: the learning curves, the latents in use, two of them in a plane, this plane decoded, and generated
    configurations. Other tables are shown as such.

    A page has tables of the numbers and of where the file came from besides, and needs no other file and no network.
    Both begin with what a person should know before believing the results: runs that were interrupted, chains that
    disagree or remember their start, error bars from few draws, ladders with gaps, values far from exact ones.

    Parameters
    ----------
    source : Study, str or Path
        Any file that mcgen has written, or the study in it.
    output : str or Path
        A file; its ending chooses the format: .html for a page, .png, .pdf or .svg for a figure.
    overwrite : bool
        Whether a file that is there may be replaced.
    data : str or Path, optional
        A file of rows of data to show in the latent plane of VAEs; by default configurations that they generate.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If the source cannot be read or the output exists or cannot be written.
    InputError
        If the source holds nothing, the ending of the output is no such format, or data do not fit.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from mcgen import rbm, report
    >>> trained = rbm.train(rbm.RBM.random(4, 2, seed=1), [[0, 0, 1, 1], [1, 1, 0, 0]], epochs=5, n_chains=4)
    >>> from mcgen.results import Study
    >>> output = pathlib.Path(tempfile.mkdtemp()) / "report.html"
    >>> report.report(Study(models=(trained.model,), trained=(trained,)), output).exists()
    True
    """
    output = files.check_report(output, overwrite)
    if isinstance(source, Study):
        return _write(gather(source, "", data), output)
    try:
        return _write(gather(_load(source), Path(source).name, data), output)
    except McgenError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # of numbers that mcgen does not write
        words = f"it has no {error}" if isinstance(error, KeyError) else error
        raise FileError(f"{source} cannot be shown ({words}); it is damaged, make it again") from error


def _write(gathered: parts.Report, output: Path) -> Path:
    # Warnings about statistics have been gathered.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)
        if files.is_page(output):
            return files.save_page(page.write(gathered), output)
        return files.save_figure(parts.figure(gathered), output)


def draw(study: Study, data: str | Path | None = None) -> Figure:
    """The report of a study as a matplotlib figure; see `report`.

    Parameters
    ----------
    study : Study
    data : str or Path, optional

    Returns
    -------
    Figure
    """
    gathered = gather(study, "", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticsWarning)
        return parts.figure(gathered)


def gather(study: Study, name: str = "", data: str | Path | None = None) -> parts.Report:
    """Everything that a report shows, checked: see `report`.

    Parameters
    ----------
    study : Study
    name : str
        Of the file.
    data : str or Path, optional

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If the study holds nothing, or data do not fit.
    """
    if not (study.samples or study.models or study.exact or study.observables or study.tables):
        raise InputError(
            "there is nothing to report on; give a file written by mcgen, with samples, models or tables in it"
        )
    if data is None:
        return contents.make(study, name)
    if not (study.models and isinstance(study.models[0], Model)):
        raise InputError(f"data={str(data)!r} is for the report of a VAE; leave it out")
    return contents.make(study, name, autoencoders.load_tables(study, data))


def _load(path: str | Path) -> Study:
    """A file, but of the states of a lattice, which may be larger than the memory, only some."""
    study = results.load_study(path, keep_states=False)
    if study.samples and not isinstance(study.samples[0], ising.Samples):
        return results.load_study(path)
    if study.samples:
        states = results.last_states(path, lattices.MOST_STATES)
        if states:
            runs = zip(study.samples, states, strict=True)
            samples = tuple(dataclasses.replace(run, states=some) for run, some in runs)
            study = dataclasses.replace(study, samples=samples)
    return study
