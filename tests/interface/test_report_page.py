"""Reports of every kind of file: what is drawn and written, what is warned of, and that pages are safe."""

import dataclasses
import html.parser
import re

import h5py
import numpy as np
import pytest
from matplotlib.figure import Figure

from mcgen import cli, ising, rbm, report, results, vae
from mcgen.report import lattices, notices, series
from mcgen.results import Study

LATTICE = ising.Ising((2, 3))
EMPTY_TAGS = {"meta", "path", "use", "rect", "image"}


class Page(html.parser.HTMLParser):
    """What is in a page; refuses tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.attributes, self.words = set(), [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        if tag not in EMPTY_TAGS:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)


@pytest.fixture(scope="module")
def kinds():
    """A study of every kind that is not a training of an RBM on a lattice."""
    settings = {"n_chains": 32, "n_draws": 60, "thin": 2, "seed": 1}
    run = ising.sample(LATTICE, [3.0], **settings)
    tempered = ising.sample(LATTICE, [1.5, 3.0], method="tempering", **settings)
    model = rbm.RBM.random(6, 3, seed=1, visible="spin")
    net = vae.VAE(6, (4,), 2, "spin", seed=1)
    draws = tuple(results.Draws(net.sample(50, k)[None], k, t) for k, t in enumerate((3.0,)))
    free = rbm.sample(model, method="tempering", ladder=[0, 1], **settings)
    held = rbm.sample(model, clamped_units=[0], clamped_values=[1], **settings)
    x = run[0].states.reshape(-1, 6)[:100]
    stored = rbm.train(
        model, x, negative_phase="pcd", epochs=2, batch_size=8, n_chains=32, keep_every=1, evaluate_every=1
    )
    return {
        "temperatures": results.as_study(run),
        "without states": results.as_study([dataclasses.replace(one, states=one.states[:, :0]) for one in run]),
        "tempering": results.as_study(tempered),
        "samples of a model": dataclasses.replace(results.as_study(free), temperatures=(3.0,), lattice=LATTICE),
        "clamped samples": dataclasses.replace(results.as_study(held), temperatures=(3.0,), lattice=LATTICE),
        "stored models": results.as_study(stored),
        "a model": results.as_study(model),
        "draws of a VAE": Study((3.0,), LATTICE, draws),
        "a VAE": results.as_study(net),
        "a table": Study(
            exact={"log_partition": np.arange(30.0)}, observables={"x": np.ones(30), "x_error": np.ones(30)}
        ),
    }


SHOWN = {
    "temperatures": ("Energy per site", "Distribution of the magnetization", "standard errors from exact"),
    "without states": ("Distribution of the energy", "Monte Carlo"),
    "tempering": ("Swaps between neighbours of the ladder", "round trips"),
    "samples of a model": ("Means of the visible units", "truth, exact", "Swaps between neighbours of the ladder"),
    "clamped samples": ("Units were held at values", "Free energy along the chains"),
    "stored models": ("Singular values of the weights of stored models", "Do the chains of the training mix?"),
    "a model": ("Weights of all 3 hidden units", "One model (RBM)."),
    "draws of a VAE": ("Distribution of the sum of the features", "truth, exact"),
    "a VAE": ("2 of 2 latents active", "Generated configurations"),
    "a table": ("With one standard error.", "log Z", "29"),
}
LEFT_OUT = {"without states": "Configurations", "clamped samples": "truth, exact", "a model": "Learning curve"}


@pytest.mark.parametrize("kind", SHOWN)
def test_every_kind_of_file_has_a_page(kind, kinds, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if kind == "a table":
        report.report(kinds[kind], "page.html")
    else:
        results.save("file.h5", kinds[kind], configuration={"seed": 12345})
        assert cli.main(["report", "file.h5", "--output", "page.html"]) == 0
        assert capsys.readouterr().out == "wrote page.html\n"
    page = Page((tmp_path / "page.html").read_text())
    if kind != "a table":
        assert "12345" in page.text
    for words in SHOWN[kind]:
        assert words in page.text, words
    assert LEFT_OUT.get(kind, "no such words") not in page.text
    names = [value for name, value in page.attributes if name == "id"]
    assert len(names) == len(set(names))
    used = [value for name, value in page.attributes if name in ("href", "xlink:href", "src")]
    assert {value.lstrip("#") for value in used if value.startswith("#")} <= set(names)
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in used)
    assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/)[a-z]", re.sub(r"base64,[^\"]*", "", str(page.attributes)))


def test_the_same_study_has_the_same_page(kinds, tmp_path):
    pages = [report.report(kinds["a model"], tmp_path / f"{k}.html").read_bytes() for k in range(2)]
    assert pages[0] == pages[1]


HOSTILE = "</td></table><script>alert(1)</script><img src=x onerror=alert(1)> $\\frac{ &lt; \x1b[2J"


def test_text_of_a_file_stays_text(kinds, tmp_path):
    attributes = {
        "command_line": HOSTILE,
        "status": HOSTILE,
        HOSTILE: HOSTILE,
        "configuration": f'{{"{"a" * 9}": "<b>"}}',
    }
    settings = kinds["stored models"].trained[0].settings | {"kl_reference": HOSTILE}
    trained = dataclasses.replace(kinds["stored models"].trained[0], settings=settings)
    columns = {HOSTILE: np.ones(3), f"{HOSTILE}_error": np.ones(3)}
    study = Study(models=(trained.model,), trained=(trained,), observables=columns, attributes=attributes)
    page = Page(report.report(study, tmp_path / "page.html").read_text())
    assert not {"script", "img", "b"} & page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") >= 5
    assert "\x1b" not in page.text
    report.report(study, tmp_path / "page.png")
    # The name of a file too, and JSON that is none.
    path = tmp_path / "<script>.h5"
    results.save(path, kinds["a model"])
    with h5py.File(path, "a") as file:
        file.attrs["configuration"] = '{"deep": ' + "[" * 100_000
    page = Page(report.report(path, tmp_path / "other.html").read_text())
    assert "script" not in page.tags
    assert "… (100,009 letters)" in page.text


def test_what_should_be_known_comes_first(kinds, tmp_path):
    cold = ising.sample(ising.Ising((4, 4)), 0.5, n_chains=64, n_draws=60, thin=1, burn_in=0, initial="up", seed=1)
    drifting = dataclasses.replace(cold, energy=cold.energy - 20 * np.exp(-np.arange(60) / 9))
    study = dataclasses.replace(results.as_study(drifting), attributes={"status": "interrupted"})
    found = report.gather(study).notices
    for words in (
        "the run was interrupted",
        "the energy at T=0.5 still remembers the start",
        "the energy per site at T = 0.5 is ",
    ):
        assert any(line.startswith(words) for line in found), words
    text = Page(report.report(study, tmp_path / "page.html").read_text()).text
    assert text.index(f"{len(found)} warnings") < text.index("Observables: Monte Carlo")
    assert not report.gather(kinds["temperatures"]).notices
    stuck = np.repeat([[-1.0], [1.0]], 100, axis=1) + np.random.default_rng(1).normal(size=(2, 100)) / 10
    with notices.gathered(gathered := []):
        series.diagnosis(stuck, "energy", "energy at T = 2", 1)
    assert "the chains disagree on the energy at T = 2" in gathered[0]


def test_trainings_tell_how_they_went(kinds):
    one = kinds["stored models"].trained[0]
    history = one.history | {"epoch": np.arange(1, 5)}
    history |= {
        "r_hat": np.array([np.nan, 1.3, np.nan, 1.2]),
        "tracked_log_partition": np.array([5.0, 5.0, np.nan, np.nan]),
    }
    worse = dataclasses.replace(one, history=history, interrupted=True)
    found = notices.of_file(Study(models=(one.model,), trained=(worse,)))
    assert found[0] == "the training was interrupted after 4 of 2 epochs"
    assert "stopped mixing: at the end they disagree (split R-hat 1.2" in found[1]
    assert "lost log Z after epoch 2" in found[2]
    weighted = dataclasses.replace(worse, settings=one.settings | {"negative_phase": "weighted"}, interrupted=False)
    assert len(notices.of_file(Study(models=(one.model,), trained=(weighted,)))) == 1
    better = dataclasses.replace(worse, history=history | {"r_hat": np.array([1.5, 1.3, 1.2, 1.01])}, interrupted=False)
    assert len(notices.of_file(Study(models=(one.model,), trained=(better,)))) == 1


@pytest.mark.parametrize(
    ("rates", "trips", "words"),
    [
        ([0.4, 0.001], 3, "only 0.10% were made"),
        ([0.4, np.nan], 3, "swaps were tried between 1 of 2 pairs"),
        ([0.4, 0.4], 0, "no configuration went from one end"),
        ([0.4, 0.4], 3, None),
    ],
)
def test_ladders_with_gaps_are_named(rates, trips, words):
    exchange = ising.tempering.Exchange(np.array([1.0, 2.0, 3.0]), np.array(rates), trips, 100)
    with notices.gathered(found := []):
        series.exchange_panel(exchange, exchange.temperatures, "temperature", "replica exchange")
    assert [words in line for line in found] == [True] * (words is not None)


@pytest.mark.parametrize(
    ("lattice", "temperature"),
    [(LATTICE, 2.0), (ising.Ising((5,), field=0.3), 1.5), (ising.Ising((8, 8)), 2.5)],
    ids=str,
)
def test_distributions_are_drawn_beside_the_exact_ones(lattice, temperature):
    run = ising.sample(lattice, temperature, n_chains=100, n_draws=50, thin=10, seed=3)
    for values, exact in (
        (run.energy, lattices.energy_distribution(lattice, temperature)),
        (run.magnetization.astype(float), lattices.magnetization_distribution(lattice, temperature)),
    ):
        axes = Figure().subplots()
        series.distribution(axes, values, "x", "red", "sampled", exact, scale=0.5)
        points, _, bars = axes.containers[0].lines
        (line,) = (one for one in axes.lines if one.get_label() == "exact")
        x, found = points.get_data()
        ends = np.array(bars[0].get_segments())[:, :, 1]
        errors = (ends[:, 1] - ends[:, 0]) / 2
        known = np.interp(x, *line.get_data())
        assert found.sum() == pytest.approx(1)
        assert np.sum(line.get_ydata()) == pytest.approx(1, abs=0.02)
        often = found > 0.01
        assert np.abs((found - known) / errors)[often].max() < 5
        assert 0.3 < np.mean(((found - known) / errors)[often] ** 2) < 2.5
        # The mean, in units of the axis.
        assert np.sum(x * found) == pytest.approx(0.5 * values.mean(), abs=0.03 * np.abs(values).max())


def test_a_few_states_are_read_without_the_others(kinds, tmp_path):
    for kind in ("temperatures", "tempering"):  # one, and several
        study = kinds[kind]
        path = results.save(tmp_path / f"{kind}.h5", study)
        found = results.last_states(path, 5)
        for states, run in zip(found, study.samples, strict=True):
            assert np.array_equal(states, run.states[:5, -1:])
    assert results.last_states(results.save(tmp_path / "none.h5", kinds["without states"]), 5) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_mcgen_does_not_write_are_one_error(kinds, value, tmp_path, capsys):
    path = results.save(tmp_path / "file.h5", kinds["temperatures"])
    with h5py.File(path, "a") as file:
        file["samples/energy"][0, 0] = value
    assert cli.main(["report", str(path), "--output", str(tmp_path / "page.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "page.html").exists()
