"""What a report shows, by what the file holds."""

import numpy as np

from mcgen import figures, ising, rbm
from mcgen.report import autoencoders, chains, columns, lattices, machines, notices, observables, provenance
from mcgen.report import tables as of_studies
from mcgen.report.parts import Report, Section
from mcgen.results import Study
from mcgen.results.autoencoders import Model


def make(study: Study, name: str = "", tables: autoencoders.Tables = ()) -> Report:
    """Gather everything that is shown of a study.

    Parameters
    ----------
    study : Study
    name : str
        Of the file.
    tables : sequence of (temperature or None, rows)
        Data to show in the latent plane of autoencoders.

    Returns
    -------
    Report

    Examples
    --------
    >>> from mcgen import ising
    >>> from mcgen.report import contents
    >>> from mcgen.results import as_study
    >>> run = ising.sample(ising.Ising((4, 4)), temperature=3.0, n_chains=64, n_draws=50, seed=1)
    >>> report = contents.make(as_study(run))
    >>> report.summary[0][:41], [section.title for section in report.sections]
    ('64 chains of 50 draws of the Ising model,', ['Observables: Monte Carlo and exact', 'T = 3'])
    """
    found = notices.of_file(study)
    with notices.gathered(found):
        sections = _sections(study, tables)
    title = figures.plain(name).replace("\\", "") if name else "Report"
    return Report(title, _summary(study), found, sections, provenance.tables(study.attributes))


def _sections(study: Study, tables: autoencoders.Tables) -> list[Section]:
    sections = []
    if study.models and isinstance(study.models[0], Model):
        sections += autoencoders.sections(study, tables)
    elif study.models and (study.trained or not study.samples):
        sections += machines.sections(study)
    if columns.has_observables(study):
        title = "Observables: exact, of the data, and of states drawn from the model"
        sources = (observables.DATA, observables.MODEL)
        sections.append(observables.section(study.lattice, study.temperatures, study.observables, sources, title))
    of_samples = []
    if study.samples:
        room = lattices if isinstance(study.samples[0], ising.Samples) else chains
        of_samples = room.sections(study)
    # What a training was made from is no news on its figure.
    sections += [section._replace(is_detail=bool(study.trained)) for section in of_samples]
    sections += [section._replace(is_detail=bool(sections)) for section in columns.sections(study)]
    return sections + [section._replace(is_detail=bool(sections)) for section in of_studies.sections(study)]


def _summary(study: Study) -> list[str]:
    """What the file holds, in words."""
    at = ""
    if study.temperatures:
        shown = ", ".join(f"{temperature:g}" for temperature in study.temperatures[:12])
        at = f", at T = {shown}" + ", …" * (len(study.temperatures) > 12)
    lines = [_of_samples(study) + at] if study.samples else []
    if study.models:
        kind = "RBM" if isinstance(study.models[0], rbm.RBM) else type(study.models[0]).__name__
        count = f"{len(study.models)} models" if len(study.models) > 1 else "one model"
        how = ", trained" * bool(study.trained)
        lines.append(f"{count} ({kind}){how}" + at * (not lines))
    if study.lattice is not None:
        lattice = study.lattice
        closed = {True: "periodic", False: "open"}
        boundaries = " and ".join(dict.fromkeys(closed[one] for one in lattice.periodic))
        size = " x ".join(map(str, lattice.shape))
        lines.append(f"lattice: {size} sites, {boundaries} boundaries, {_couplings(lattice)}")
    names = [*dict.fromkeys([*study.exact, *study.observables])]
    if not (study.samples or study.models) and names:
        entries = max(len(np.atleast_1d(values)) for values in (study.exact | study.observables).values())
        lines.append(f"a table of {len(names)} quantities, {entries} of each" + at)
    if study.tables:
        words = "tables of a study, whose numbers a report as a page (.html) lists: "
        lines.append(words + ", ".join(study.tables))
    return [line[0].upper() + line[1:] for line in lines]


def _of_samples(study: Study) -> str:
    run = study.samples[0]
    if isinstance(run, ising.Samples):
        n_chains, n_draws = run.energy.shape
        what, series = "the Ising model", f"{n_chains} chains of {n_draws} draws"
    elif isinstance(run, rbm.Samples):
        n_chains, n_draws = run.free_energy.shape
        what, series = "an RBM" if len(study.samples) == 1 else "RBMs", f"{n_chains} chains of {n_draws} draws"
    else:
        return f"{run.states.shape[1]} independent draws of a VAE"
    if run.method == "exact":
        return f"{series} of {what}, independent"
    how = f"method {run.method}, draws {run.thin} sweeps apart after {run.burn_in} of burn-in"
    return f"{series} of {what}, {how}"


def _couplings(lattice: ising.Ising) -> str:
    values = np.unique(lattice.coupling[lattice.coupling != 0])
    coupling = f"coupling J = {values[0]:g}" if len(values) == 1 else f"couplings of {len(values)} values"
    fields = np.unique(lattice.field)
    field = f"field B = {fields[0]:g}" if len(fields) == 1 else f"fields of {len(fields)} values"
    return f"{coupling}, {field}"
