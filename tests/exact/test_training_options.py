"""What training can be asked for beside the plain gradient: other negative phases, directions, limits, ends."""

import numpy as np
import pytest
from scipy import stats

from mcgen import ising, optim, rbm
from mcgen.errors import InputError, SizeError
from mcgen.rbm.training import columns, watching, weighted
from mcgen.rbm.training.ascent import centred

COLD = 1.5


@pytest.fixture(scope="module")
def cold():
    """Rows of a lattice with two modes, which a single chain does not leave once a model has learned them."""
    lattice = ising.Ising((3, 3))
    return ising.exact.sample(lattice, COLD, n_draws=5000, seed=1).reshape(-1, 9), ising.exact.probabilities(
        lattice, COLD
    )


@pytest.fixture(scope="module")
def few():
    lattice = ising.Ising((2, 3), periodic=False)
    return ising.exact.sample(lattice, 2.0, n_draws=400, seed=2).reshape(-1, 6)


def fit(cold, **settings):
    v, truth = cold
    start = rbm.RBM.random(9, 6, seed=2, scale=0.1, visible="spin", hidden="spin")
    settings = {"epochs": 8, "batch_size": 100, "learning_rate": 0.02, "final_learning_rate": 0.002} | settings
    return rbm.train(start, v, truth=truth, seed=3, **settings)


@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")
def test_chains_that_cross_between_modes_learn_their_weights(cold):
    of_exact = fit(cold, negative_phase="exact").history["kl_divergence"][-1]
    assert of_exact < 0.04
    for name in ("weighted", "tempering", "trajectory"):
        assert fit(cold, negative_phase=name).history["kl_divergence"][-1] < of_exact + 0.05, name
    assert fit(cold, negative_phase="pcd").history["kl_divergence"][-1] > 1


def test_weighted_chains_obey_jarzynski():
    """After jumps of the parameters weighted means are those of the new model, and means of the chains are not."""
    old = rbm.RBM.random(6, 4, seed=1, scale=0.1, visible="spin", hidden="spin")
    new = rbm.RBM.random(6, 4, seed=5, scale=0.5, visible="spin", hidden="spin")
    between = old.replace(*(0.5 * (a + b) for a, b in zip(old.parameters, new.parameters, strict=True)))
    states = 2 * (np.arange(64)[:, None] >> np.arange(6) & 1) - 1
    truth = rbm.exact.probabilities(new) @ (states[:, 0] * states[:, 1])
    chains = weighted.WeightedChains(old, 40_000, seed=1, device="cpu", n_groups=4)
    for model in (between, new):
        chains.change(model)
    own = chains.visible[:, 0] * chains.visible[:, 1]
    weights = chains.weights
    error = np.sqrt(np.sum(weights**2 * (own - weights @ own) ** 2))
    assert abs(weights @ own - truth) < 4 * error < 0.05
    assert abs(own.mean() - truth) > 10 * error
    value, error = chains.log_ratio
    assert abs(value - (rbm.exact.log_partition(new) - rbm.exact.log_partition(old))) < 4 * error < 0.05
    # Resampling keeps the distribution: each chain comes as often as its weight says, up to rounding.
    group, before = np.arange(10_000), chains.visible.copy()
    share = weights[group] / weights[group].sum()
    chains._resample(group, share)
    counts = {
        tuple(row): n for row, n in zip(*np.unique(chains.visible[group], axis=0, return_counts=True), strict=True)
    }
    expected: dict = {}
    for row, part in zip(before[group], share, strict=True):
        expected[tuple(row)] = expected.get(tuple(row), 0.0) + 10_000 * part
    assert all(abs(counts.get(row, 0) - n) < 40 for row, n in expected.items())
    np.testing.assert_allclose(chains.weights[group], chains.weights[0])
    np.testing.assert_allclose(chains.log_ratio[0], value)


@pytest.mark.filterwarnings("ignore::mcgen.errors.StatisticsWarning")
def test_log_z_is_followed_along_the_training(cold):
    """Within its error of the exact value, in ten trainings whose chains do not keep up with their model."""
    scores = []
    for seed in range(10):
        start = rbm.RBM.random(9, 6, seed=seed, scale=0.1, visible="spin", hidden="spin")
        history = rbm.train(
            start, cold[0][:1000], negative_phase="pcd", gibbs_steps=2, epochs=6, batch_size=50, n_chains=64,
            learning_rate=0.02, evaluate_every=2, seed=seed,
        ).history  # fmt: skip
        assert np.isfinite(history["tracked_log_partition"][1::2]).all()
        assert history["log_partition"][-1] > 15  # log Z is far from that of the start, 10.4
        scores.append((history["tracked_log_partition"] - history["log_partition"])[-1])
        scores[-1] /= history["tracked_log_partition_error"][-1]
        assert history["tracked_log_partition_error"][-1] < 1
    # The error follows from eight groups: a t distribution with seven degrees of freedom.
    p = 2 * stats.t.sf(np.abs(scores), 7)
    assert stats.combine_pvalues(p).pvalue > 1e-3


@pytest.mark.filterwarnings("ignore:the chains of the training:mcgen.errors.StatisticsWarning")
def test_log_z_is_sought_afresh_where_it_is_lost(monkeypatch):
    """Ten patterns: modes come and go, and the weights of chains that have followed from the start say nothing."""
    fresh, anneal = [], watching.Watching._anneal
    monkeypatch.setattr(watching.Watching, "_anneal", lambda self, model: (fresh.append(model), anneal(self, model)))
    scores = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        patterns = random.random((10, 40)) < 0.3
        v = (patterns[random.integers(0, 10, 1000)] + (random.random((1000, 40)) < 0.05)) % 2
        start = rbm.start_from_data(rbm.RBM.random(40, 12, seed=seed), v)
        history = rbm.train(
            start, v, negative_phase="pcd", epochs=10, batch_size=100, n_chains=100, learning_rate=0.05, seed=seed,
            evaluate_every=5,
        ).history  # fmt: skip
        error = history["tracked_log_partition_error"][-1]
        scores.append((history["tracked_log_partition"] - history["log_partition"])[-1] / error)
        assert error < 0.1
    assert len(fresh) >= 6
    assert stats.combine_pvalues(2 * stats.t.sf(np.abs(scores), 7)).pvalue > 1e-3


def test_a_centred_gradient_does_not_see_which_state_is_called_one(few):
    v = (few + 1) // 2
    start = rbm.RBM.random(6, 4, seed=1, scale=0.3)
    # The same distribution of 1 - v and 1 - h.
    mirrored = rbm.RBM(
        start.weights, -start.visible_bias - start.weights.sum(axis=1), -start.hidden_bias - start.weights.sum(axis=0)
    )
    settings = {"negative_phase": "exact", "epochs": 5, "batch_size": 50, "learning_rate": 0.3, "optimizer": "sgd"}
    for centered in (True, False):
        one, other = (
            rbm.train(model, rows, centered=centered, **settings) for model, rows in ((start, v), (mirrored, 1 - v))
        )
        same = np.allclose(one.model.weights, other.model.weights, rtol=1e-9, atol=1e-12)
        assert same == centered
        if centered:
            likelihoods = [fit.history["log_likelihood"] for fit in (one, other)]
            np.testing.assert_allclose(*likelihoods, rtol=1e-10)


def test_a_centred_direction_is_a_gradient_of_centred_parameters():
    """By differences: move a centred parameter, keep the others, and look at the plain ones."""
    random = np.random.default_rng(3)
    model = rbm.RBM(0.5 * random.normal(size=(4, 3)), random.normal(size=4), random.normal(size=3))
    v = random.integers(0, 2, (20, 4))
    mu, lam = random.random(4), random.random(3)
    direction = centred(rbm.exact.gradient(model, v), mu, lam)
    step = 1e-5

    def likelihood(W, b, c):
        return rbm.exact.log_likelihood(rbm.RBM(W, b - W @ lam, c - mu @ W), v)

    own = (model.weights, model.visible_bias + model.weights @ lam, model.hidden_bias + mu @ model.weights)
    slopes = []
    for k, array in enumerate(own):
        slope = np.empty_like(array)
        for place in np.ndindex(array.shape):
            moved = [[part.copy() for part in own] for _ in range(2)]
            for sign, parts in zip((1, -1), moved, strict=True):
                parts[k][place] += sign * step
            slope[place] = (likelihood(*moved[0]) - likelihood(*moved[1])) / (2 * step)
        slopes.append(slope)
    np.testing.assert_allclose(direction.weights, slopes[0], atol=1e-8)
    np.testing.assert_allclose(direction.visible_bias, slopes[1] - slopes[0] @ lam, atol=1e-8)
    np.testing.assert_allclose(direction.hidden_bias, slopes[2] - mu @ slopes[0], atol=1e-8)


@pytest.mark.parametrize("negative_phase", ["exact", "cd", "pcd", "weighted", "tempering", "trajectory"])
def test_symmetric_models_keep_their_symmetry(few, negative_phase):
    tied = rbm.RBM.symmetric((2, 3), n_filters=2, seed=1, scale=0.3, visible="spin", hidden="bernoulli")
    for more in ({"centered": True, "l2": 0.01, "max_weight_norm": 1.0}, {"optimizer": "natural"}):
        trained = rbm.train(
            tied, few, negative_phase=negative_phase, epochs=2, batch_size=100, n_chains=64, seed=1, **more
        )
        assert trained.model.symmetry == tied.symmetry
        assert np.isfinite(trained.history["log_likelihood"][-1])
        assert not np.allclose(trained.model.weights, tied.weights, atol=1e-3)
        if "max_weight_norm" in more:
            assert np.linalg.norm(trained.model.weights, axis=0).max() < 1 + 1e-9


def test_penalties_by_hand(few):
    start = rbm.RBM.random(6, 3, seed=2, scale=0.5, visible="spin", hidden="spin")
    settings = {"negative_phase": "exact", "epochs": 1, "batch_size": len(few), "optimizer": "sgd", "momentum": 0.0}
    settings |= {"learning_rate": 0.3}
    plain, held = (rbm.train(start, few, **settings, **more) for more in ({}, {"l1": 0.1, "l2": 0.2}))
    expected = plain.model.weights - 0.3 * (0.1 * np.sign(start.weights) + 0.2 * start.weights)
    np.testing.assert_allclose(held.model.weights, expected, rtol=1e-12)
    short = rbm.train(start, few, max_weight_norm=0.7, **settings).model.weights
    norms = np.linalg.norm(plain.model.weights, axis=0)
    assert (norms > 0.7).any()
    np.testing.assert_allclose(short, plain.model.weights * np.minimum(1, 0.7 / norms), rtol=1e-12)


def test_weights_of_rows_stand_for_copies(few):
    copies = np.random.default_rng(1).integers(0, 4, len(few))
    start = rbm.RBM.random(6, 3, seed=2, scale=0.5, visible="spin", hidden="spin")
    settings = {"negative_phase": "exact", "epochs": 3, "learning_rate": 0.3, "optimizer": "sgd", "seed": 1}
    weighted = rbm.train(start, few, row_weights=7 * copies, batch_size=len(few), **settings)
    repeated = rbm.train(start, np.repeat(few, copies, axis=0), batch_size=10**6, **settings)
    np.testing.assert_allclose(weighted.model.weights, repeated.model.weights, rtol=1e-10)
    for name in ("log_likelihood", "kl_divergence", "reconstruction_error"):
        np.testing.assert_allclose(weighted.history[name], repeated.history[name], rtol=1e-9)
    # The steps of an epoch add up to the gradient of all rows, whatever weight a batch has.
    moved = rbm.train(start, few, row_weights=copies, batch_size=100, **settings | {"epochs": 1, "learning_rate": 1e-7})
    slope = (moved.model.weights - start.weights) / 1e-7
    by_hand = rbm.exact.gradient(start, np.repeat(few, copies, axis=0)).weights
    factor = 1 + 0.5 + 0.25 + 0.125  # of momentum 1/2, for the first of four steps, and so on
    assert np.corrcoef(slope.ravel(), by_hand.ravel())[0, 1] > 0.99
    assert 4 < np.linalg.norm(slope) / np.linalg.norm(by_hand) < 4 * factor
    # CD gives its chains the weights of their rows: a row without weight might as well not be there.
    only = np.zeros(len(few))
    only[:100] = 1
    settings = {"negative_phase": "cd", "epochs": 1, "batch_size": len(few), "learning_rate": 0.1}
    another = few.copy()
    another[100:] *= -1
    for optimizer in ("adam", "natural"):
        one = rbm.train(start, few, row_weights=only, optimizer=optimizer, **settings)
        other = rbm.train(start, another, row_weights=only, optimizer=optimizer, **settings)
        assert (one.model.weights == other.model.weights).all()
        assert one.history["free_energy_gap"] == pytest.approx(other.history["free_energy_gap"], rel=1e-12)


def test_columns_look_at_rows_that_count():
    """Every second row has a weight, and the evenly spaced rows that the columns look at have none."""
    rows, weights = np.repeat(np.arange(4096)[:, None], 2, axis=1), np.zeros(4096)
    weights[1::2] = 1 / 2048
    seen, of_seen = columns.some_rows(rows, weights)
    assert len(seen) == 1024
    assert (seen % 2 == 1).all()
    np.testing.assert_allclose(of_seen, 1 / 1024)


def test_the_natural_gradient_needs_fewer_steps(cold):
    natural = {"optimizer": "natural", "learning_rate": 0.05}
    history = fit(cold, negative_phase="exact", **natural | {"final_learning_rate": 0.005}).history
    assert history["kl_divergence"][-1] < 0.015
    assert fit(cold, negative_phase="exact").history["kl_divergence"][-1] > 0.02
    sampled = fit(cold, negative_phase="weighted", epochs=3, **natural)
    assert sampled.history["kl_divergence"][-1] < 0.1


def test_training_stops_when_the_validation_rows_do_not_gain(few):
    start = rbm.RBM.random(6, 8, seed=2, scale=0.5, visible="spin", hidden="spin")
    train_rows, validation = few[:40], few[40:]
    trained = rbm.train(
        start, train_rows, negative_phase="exact", epochs=400, batch_size=40, learning_rate=0.1, patience=10,
        validation=validation,
    )  # fmt: skip
    scores = trained.history["validation_log_likelihood"]
    best = int(np.argmax(scores))
    assert len(scores) == best + 11 < 400
    assert rbm.exact.log_likelihood(trained.model, validation) == pytest.approx(scores[best])


def test_callbacks_see_every_epoch_and_may_end_it(few):
    start = rbm.RBM.random(6, 3, seed=2, visible="spin", hidden="spin")
    seen = []

    def watch(epoch):
        seen.append((epoch.epoch, epoch.row["reconstruction_error"], epoch.model.weights.copy(), epoch.chains.shape))
        return epoch.epoch == 3

    trained = rbm.train(start, few, epochs=9, keep_every=2, callbacks=[lambda epoch: None, watch], n_chains=50)
    assert [one[0] for one in seen] == [1, 2, 3]
    assert not trained.interrupted
    np.testing.assert_array_equal([one[1] for one in seen], trained.history["reconstruction_error"])
    assert (seen[-1][2] == trained.model.weights).all()
    assert len(trained.trajectory) == 2
    assert trained.trajectory[0] is start
    assert (trained.trajectory[1].weights == seen[1][2]).all()


def test_schedules():
    assert optim.learning_rates(5, [5, 4, 3, 2, 1]).tolist() == [5, 4, 3, 2, 1]
    np.testing.assert_allclose(optim.learning_rates(5, 0.5, 0.1, "linear"), [0.5, 0.4, 0.3, 0.2, 0.1])
    cosine = optim.learning_rates(5, 0.5, 0.1, "cosine")
    np.testing.assert_allclose(cosine, 0.3 + 0.2 * np.cos(np.pi * np.arange(5) / 4))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gibbs_steps": "auto"}, "gibbs_steps='auto' measures Gibbs chains that are carried on"),
        ({"patience": 3}, "patience=3 needs validation rows"),
        ({"learning_rate": [0.1, 0.2]}, r"learning_rate has shape \(2,\)"),
        ({"learning_rate": [0.1] * 50, "final_learning_rate": 0.1}, "leave out final_learning_rate"),
        ({"learning_rate": [0.1] * 49 + [0]}, "learning_rate has 0.0 among its numbers"),
        ({"row_weights": [-1.0] * 400}, "row_weights lie between -1.0 and -1.0"),
        ({"negative_phase": "best"}, "negative_phase='best'"),
        ({"optimizer": "newton"}, "optimizer='newton'"),
        ({"max_weight_norm": 0}, "max_weight_norm"),
        ({"negative_phase": "tempering", "ladder": [0.5, 0.9]}, "ladder has 0.5 first and 0.9 last"),
    ],
)
def test_what_training_refuses(few, settings, words):
    with pytest.raises(InputError, match=words):
        rbm.train(rbm.RBM.random(6, 3, seed=2, visible="spin"), few, **settings)


def test_likelihoods_without_log_z_are_no_reason_to_stop():
    v = np.random.default_rng(1).integers(0, 2, (20, 60))
    with pytest.raises(InputError, match="patience=3 needs log Z"):
        rbm.train(rbm.RBM.random(60, 50, seed=1), v, patience=3, validation=v)
    with pytest.raises(SizeError):
        rbm.train(rbm.RBM.random(60, 50, seed=1), v, negative_phase="exact")
