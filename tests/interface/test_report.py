import h5py
import matplotlib.image
import numpy as np
import pytest

from mcgen import evaluation, ising, rbm, report, results
from mcgen.errors import FileError, InputError

LATTICE = ising.Ising((2, 3))


@pytest.fixture(scope="module")
def study():
    temperatures, rows = (1.5, 3.0), []
    for temperature in temperatures:
        run = ising.sample(LATTICE, temperature, n_chains=100, n_draws=20, thin=5, burn_in=50, seed=1)
        start = rbm.RBM.random(6, 4, seed=1, visible="spin", hidden="spin")
        v = run.states.reshape(-1, 6)
        trained = rbm.train(start, v, negative_phase="exact", epochs=30, learning_rate=0.05, seed=2)
        samples = rbm.sample(trained.model, n_chains=100, n_draws=20, seed=3)
        rows.append((trained, *evaluation.evaluate(trained.model, LATTICE, temperature, run, samples, test=v[:300])))
    trained, exact, table = zip(*rows, strict=True)
    return results.Study(
        temperatures, LATTICE, models=tuple(t.model for t in trained), trained=trained,
        exact=evaluation.columns(exact), observables=evaluation.columns(table),
    )  # fmt: skip


def test_evaluation_against_its_parts(study):
    for k, temperature in enumerate(study.temperatures):
        thermo = ising.exact.thermodynamics(LATTICE, temperature)
        model, p = study.models[k], ising.exact.probabilities(LATTICE, temperature)
        assert study.exact["log_partition_truth"][k] == pytest.approx(thermo.log_partition)
        assert study.exact["log_partition_model"][k] == pytest.approx(rbm.exact.log_partition(model))
        assert study.exact["kl_divergence"][k] == pytest.approx(rbm.exact.kl_divergence(p, model))
        # No model beats the truth by more than the noise of the rows, and a good one is close.
        loss = study.exact["best_log_likelihood"][k] - study.exact["test_log_likelihood"][k]
        assert abs(loss) < 0.1
        assert study.exact["test_log_likelihood_error"][k] > 0
        for name in ("energy", "abs_magnetization", "heat_capacity"):
            truth = study.observables[f"{name}_truth"][k]
            assert truth == pytest.approx(getattr(thermo, name))
            for source, expected in (("data", truth), ("model", study.observables[f"{name}_model_exact"][k])):
                error = study.observables[f"{name}_{source}_error"][k]
                assert 0 < abs(study.observables[f"{name}_{source}"][k] - expected) < 5 * error


def test_the_table_has_every_number_with_an_error_or_exact(study):
    text = report.text_table(study)
    lines = text.splitlines()
    assert "T = 1.5" in lines[0]
    for words in (
        "log Z of the truth",
        "log Z of the model",
        "KL(truth || model)",
        "test log-likelihood",
        "best possible",
    ):
        assert words in text
    for line in lines[2:]:
        assert ("exact" in line) != ("(" in line.replace("KL(truth || model)", "")), line


def axes_of(part, title=""):
    """All axes of the panels with a title, in a figure whose panels are parts of parts."""
    found = [] if title and part.get_suptitle() != title else list(part.axes)
    return found + [axes for inner in part.subfigs for axes in axes_of(inner, title)]


def titles(part):
    return [part.get_suptitle(), *(title for inner in part.subfigs for title in titles(inner))]


def test_the_figure_shows_every_panel(study, tmp_path):
    output = report.report(study, tmp_path / "report.png")
    image = matplotlib.image.imread(output)
    assert image.shape[0] > 1000
    assert image.std() > 0.05
    drawn = titles(report.draw(study))
    for title in ("Learning curve", "Every state: model against truth", "Weights of all 4 hidden units"):
        assert drawn.count(title) == 2
    (one,) = axes_of(report.draw(study), "Energy per site")[1:]
    assert one.get_ylabel() == "minus exact"


def test_observables_are_drawn_per_site_with_their_errors(study):
    truth = study.observables["energy_truth"]
    above, below = axes_of(report.draw(study), "Energy per site")
    for axes, subtracted in ((above, 0), (below, truth)):
        for container, source in zip(axes.containers, ("data", "model"), strict=True):
            points, _, bars = container.lines
            assert np.allclose(points.get_ydata(), (study.observables[f"energy_{source}"] - subtracted) / 6)
            ends = np.array(bars[0].get_segments())[:, :, 1]
            assert np.allclose((ends[:, 1] - ends[:, 0]) / 2, study.observables[f"energy_{source}_error"] / 6)


def test_models_without_lattice_are_drawn(tmp_path):
    v = np.random.default_rng(1).integers(0, 2, (50, 9))
    trained = rbm.train(rbm.RBM.random(9, 2, seed=1), v, epochs=3, n_chains=10)
    study = results.Study(models=(trained.model,), trained=(trained,))
    assert report.report(study, tmp_path / "report.svg").stat().st_size > 10_000


@pytest.mark.parametrize("lattice", [None, LATTICE], ids=["no lattice", "lattice"])
@pytest.mark.parametrize(
    ("visible", "hidden", "title", "words"),
    [
        (rbm.Potts(3), "gaussian", "Weights of all 4 hidden units", "dark: the state"),
        (rbm.Gaussian(variance=2.0), rbm.Potts(2), "Weights of all 4 states of hidden units", "dark: large"),
        ("relu", "bernoulli", "Weights of all 4 hidden units", "dark: large"),
        ("spin", "relu", "Weights of all 4 hidden units", "dark: up"),
    ],
    ids=["potts", "gaussian", "relu", "spin"],
)
def test_models_of_every_kind_are_drawn(visible, hidden, title, words, lattice):
    model = rbm.RBM.random(6, 4, seed=1, visible=visible, hidden=hidden)
    v = rbm.sample(model, n_chains=36, n_draws=1, seed=3).states[:, 0]
    trained = rbm.train(model, v, epochs=1, n_chains=36)
    figure = report.draw(results.Study((2.0,) if lattice else (), lattice, models=(trained.model,), trained=(trained,)))
    assert title in titles(figure)
    is_compared = lattice is not None and model.visible.name == "spin"
    assert ("Every state: model against truth" in titles(figure)) == is_compared
    axes = axes_of(figure, "States of the model's chains")[0]
    assert words in axes.get_xlabel()
    low, high = axes.images[0].get_clim()
    if model.visible.is_discrete:
        assert (low, high) == (-1 if model.visible.name == "spin" else 0, 1)
    else:
        assert (low, high) == (trained.chains.min(), trained.chains.max())


def test_the_title_names_the_units():
    trained = rbm.train(
        rbm.RBM.random(6, 4, seed=1, visible=rbm.Potts(3)), np.eye(3)[[[0, 1], [2, 0]]].reshape(2, 6), epochs=1
    )
    drawn = titles(report.draw(results.Study(models=(trained.model,), trained=(trained,))))
    assert "RBM with 2 visible potts and 4 hidden bernoulli units" in drawn


def test_only_spins_are_compared_with_a_lattice(study):
    lattice = ising.Ising((2, 3))
    for model in (
        rbm.RBM.random(6, 2, seed=1, visible=rbm.Potts(2)),
        rbm.RBM.random(6, 2, seed=1, visible="gaussian"),
        rbm.RBM.random(5, 2, seed=1),
    ):
        assert not evaluation.has_spins(model, lattice)
        with pytest.raises(InputError, match="cannot be compared with a lattice of 6 spins: it needs as many visible"):
            evaluation.evaluate(model, lattice, 2.0, study.samples, study.samples)
    assert not evaluation.has_spins(study.models[0], None)


@pytest.mark.parametrize(
    ("lattice", "known"),
    [
        (ising.Ising((5, 6)), ("log_partition", "energy", "abs_magnetization", "heat_capacity")),
        (ising.Ising((12, 12)), ("log_partition", "energy", "heat_capacity")),
        (ising.Ising((14, 14), field=0.1), ()),
    ],
    ids=str,
)
def test_lattices_too_large_to_list_are_drawn_with_what_is_exact(lattice, known, tmp_path):
    n = lattice.n_sites
    run = ising.sample(lattice, 2.5, n_chains=50, n_draws=5, seed=1)
    trained = rbm.train(rbm.RBM.random(n, 4, seed=1, visible="spin"), run.states.reshape(-1, n), epochs=2)
    exact, table = evaluation.evaluate(
        trained.model, lattice, 2.5, run, rbm.sample(trained.model, n_chains=50, n_draws=30)
    )
    assert np.isnan(exact["kl_divergence"])
    assert np.isfinite(exact["log_partition_model"])
    truth = {"log_partition": exact["log_partition_truth"]}
    truth |= {name: table.get(f"{name}_truth", np.nan) for name in ("energy", "abs_magnetization", "heat_capacity")}
    assert tuple(name for name, value in truth.items() if np.isfinite(value)) == known
    if known:
        thermo = ising.exact.thermodynamics(lattice, 2.5)
        assert [truth[name] for name in known] == pytest.approx([getattr(thermo, name) for name in known])
    study = results.Study(
        (2.5,), lattice, models=(trained.model,), trained=(trained,),
        exact=evaluation.columns([exact]), observables=evaluation.columns([table]),
    )  # fmt: skip
    results.save(tmp_path / "study.h5", study)
    figure = report.draw(results.load_study(tmp_path / "study.h5"))
    assert not any("nan" in title for title in titles(figure))
    names = ("Energy per site", "|magnetization| per site", "Heat capacity per site")
    above = [axes_of(figure, name)[0] for name in names]
    curves = [axes for axes in above if any(line.get_label() == "exact" for line in axes.lines)]
    assert len(curves) == len([name for name in known if name != "log_partition"])
    chains = axes_of(figure, "Magnetization of the model's chains")[0]
    is_exact = any(line.get_label() == "truth, exact" for line in chains.lines)
    assert is_exact == (lattice.shape == (5, 6))
    assert re_dashes(report.text_table(study)) > 0


def re_dashes(text):
    return sum(line.rstrip().endswith(" -") for line in text.splitlines())


def test_bad_reports(study, tmp_path):
    with pytest.raises(InputError, match="does not end in the name of a format"):
        report.report(study, tmp_path / "report.doc")
    with pytest.raises(InputError, match="does not end in an image format"):
        report.check_output(tmp_path / "figure.html")
    with pytest.raises(InputError, match="nothing to report on"):
        report.report(results.Study(), tmp_path / "report.png")
    assert not list(tmp_path.iterdir())
    (tmp_path / "there.png").touch()
    with pytest.raises(FileError, match="exists"):
        report.report(study, tmp_path / "there.png")


def test_a_history_without_a_column_is_named(tmp_path):
    trained = rbm.train(rbm.RBM.random(4, 2, seed=1), np.eye(4), epochs=2, batch_size=2, n_chains=2, seed=1)
    path = results.save(tmp_path / "rbm.h5", trained)
    with h5py.File(path, "r+") as file:
        del file["training/kl_divergence"]
    with pytest.raises(FileError, match=r"rbm.h5 cannot be shown \(it has no 'kl_divergence'\)"):
        report.report(path, tmp_path / "report.html")
