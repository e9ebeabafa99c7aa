"""Metropolis-Hastings on the marginal of the visible units: single proposals, distributions, bookkeeping."""

import itertools

import numpy as np
import pytest
from chi_square import combined, p_value, with_wrong_formula
from scipy.stats import chi2

from mcgen import backend, rbm
from mcgen.errors import InputError
from mcgen.formulas import metropolis_acceptance
from mcgen.rbm.chains import random_states, stack
from mcgen.rbm.metropolis import Proposal, cpu, moves, obstacle, proposals_per_sweep, sweep
from mcgen.rbm.metropolis.formulas import GROUP, ratio_acceptance
from mcgen.rbm.model import RBM
from mcgen.rbm.units import Bernoulli, Gaussian, Potts, ReLU, Spin

TARGET = backend.target("cpu")
VISIBLE = {"bernoulli": Bernoulli(), "spin": Spin(), "potts": Potts(3)}
HIDDEN = VISIBLE | {"gaussian": Gaussian(0.3, 0.4), "relu": ReLU(-0.2, 0.5)}
FLIP, EXCHANGE, BLOCK = Proposal("flip", 1), Proposal("exchange", 2), Proposal("block", 2)
PROPOSALS = {"flip": FLIP, "exchange": EXCHANGE, "block": BLOCK}
PAIRS = list(itertools.product(VISIBLE, HIDDEN))


def model(visible, hidden, n_units=3, n_hidden=2, scale=0.6, seed=5):
    random = np.random.default_rng(seed)
    n_visible, n_hidden = n_units * visible.entries, n_hidden * hidden.entries
    parameters = (random.uniform(-scale, scale, size) for size in ((n_visible, n_hidden), n_visible, n_hidden))
    return RBM(*parameters, visible, hidden)


def start(one, n_chains, seed=1):
    return random_states(one.visible, n_chains, one.n_visible, seed).astype(one.dtype)[None]


def run(one, visible, proposal, n_sweeps=1, n_draws=0, first_step=0, seed=7):
    return sweep(stack([one]), visible.copy(), n_sweeps, n_draws, first_step, seed, TARGET, proposal)


def exact_probabilities(one):
    states = one.visible.list_states(one.n_visible, 0, one.visible.n_states(one.n_visible))
    energies = one.free_energy(states)
    p = np.exp(energies.min() - energies)
    return states, p / p.sum()


# Acceptances


def one_proposal(one, state, proposal, words):
    """The entries that a proposal changes, and by how much, as rows of one chain."""
    n_units = one.visible.n_units(one.n_visible)
    units, places, changes = np.arange(n_units), np.empty((1, 99), np.int64), np.empty((1, 99))
    cpu.metropolis.choose_units(units, words, 0, proposal.size)
    name = moves.NAMES.index(proposal.name)
    n = cpu.metropolis.propose(
        *one.visible.kernel_arguments, state[None], 0, name, proposal.size, words[None], 10, units, 0, places, changes
    )
    return places[:, :n], changes[:, :n]


@pytest.mark.parametrize("proposal", PROPOSALS)
@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_acceptance_is_that_of_the_change_of_the_free_energy(kinds, proposal):
    one = model(VISIBLE[kinds[0]], HIDDEN[kinds[1]], n_units=5, n_hidden=4, scale=1.5)
    proposal = PROPOSALS[proposal]
    visible, hidden = one.visible, one.hidden
    weights = np.ascontiguousarray(one.weights)
    random = np.random.default_rng(3)
    tested = 0
    for state in start(one, 40)[0]:
        words = random.integers(0, 2**32, 64, dtype=np.uint32)
        places, changes = one_proposal(one, state, proposal, words)
        n_changes = places.shape[1]
        if n_changes == 0:
            continue
        new = state.copy()
        np.add.at(new, places[0], changes[0])
        assert not (new == state).all()
        visible.check("v", new, True)
        difference = one.free_energy(new) - one.free_energy(state)
        fields = (one.hidden_bias + state @ weights)[None]
        moved = np.empty_like(fields[0])
        cpu._move_fields(moved, fields, 0, weights, places, changes, n_changes)
        if hidden.name == "gaussian":
            gain = cpu._gaussian_change(hidden.parameters, fields, 0, moved)
        else:
            gain = hidden.cumulant(moved) - hidden.cumulant(fields[0])
        assert np.isclose(-gain - one.visible_bias[places[0]] @ changes[0], difference, rtol=1e-12, atol=1e-12)
        most_kept = moves.accepted_between_normalizations(stack([one]), proposal)
        if hidden.name in ("bernoulli", "spin"):
            assert most_kept > 1
            factors, entry_weights = moves._tables(stack([one]), weights[None], most_kept)
            shares, copies = np.empty((8, factors.shape[2])), np.empty((2, factors.shape[2]))
            for member in range(4):
                cpu._split(shares, 2 * member, hidden.level, fields, 0)
            ups = (changes[0] > 0).astype(int)
            products = [cpu._proposed_product(shares, copies, 0, factors[0], places, changes, n_changes)]
            if n_changes == 1:
                after = np.empty(4)
                cpu._products_after_flips(after, shares, np.repeat(ups, 4), factors[0], places[0, 0])
                products.extend(after)
            rest = np.prod(entry_weights[0, ups, places[0]])
            assert np.allclose(np.array(products) * rest, np.exp(-difference), rtol=1e-12, atol=0)
        else:
            assert most_kept == 0
        tested += 1
    assert tested > 10


def test_both_acceptances_are_one():
    for cost in (*np.linspace(-5, 5, 1001), 1e-12, -1e-12, 600.0, -600.0):
        assert np.isclose(ratio_acceptance(np.exp(-cost)), metropolis_acceptance(cost), rtol=1e-14, atol=0)


@pytest.mark.parametrize("proposal", PROPOSALS)
@pytest.mark.parametrize("kinds", itertools.product(VISIBLE, ("bernoulli", "spin")), ids="-".join)
@pytest.mark.parametrize("most_kept", [1, 3])
def test_both_ways_give_the_same_chain(kinds, proposal, most_kept, monkeypatch):
    one = model(VISIBLE[kinds[0]], HIDDEN[kinds[1]], n_units=12, n_hidden=40, scale=0.3)
    visible = start(one, 20)
    runs = []
    for kept in (0, most_kept):
        monkeypatch.setattr(moves, "accepted_between_normalizations", lambda *_, kept=kept: kept)
        runs.append(run(one, visible, PROPOSALS[proposal], 30, 10))
    for general, quick in zip(*runs, strict=True):
        assert (general == quick).all()
    assert runs[0][2].min() > 0


def test_factors_are_left_where_their_range_could_end():
    small, large = (RBM.random(20, 30, seed=1, scale=scale, visible="spin") for scale in (0.1, 20.0))
    assert moves.accepted_between_normalizations(stack([small]), FLIP) > 10
    for models in ([large], [small, large]):
        assert moves.accepted_between_normalizations(stack(models), FLIP) == 0
    kept = [moves.accepted_between_normalizations(stack([small]), Proposal("block", size)) for size in (1, 2, 5, 20)]
    assert kept == sorted(kept, reverse=True)
    biased = stack([small])._replace(hidden_bias=np.array([[[0.0] * 30, [800.0] * 30]]))
    assert moves.accepted_between_normalizations(biased, FLIP) == 0


def test_shares_stay_in_range_at_the_largest_weights_that_have_factors():
    # The worst that the bound allows: all fields move together, in both directions.
    scale = 1.0
    while True:
        one = RBM(np.full((6, 3), scale), np.zeros(6), np.zeros(3))
        if moves.accepted_between_normalizations(stack([one]), BLOCK) == 0:
            break
        visible = np.concatenate([start(one, 50), np.ones((1, 50, 6)), np.zeros((1, 50, 6))], axis=1)
        quick = run(one, visible, BLOCK, 20)
        assert np.isfinite(quick[0]).all()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(moves, "accepted_between_normalizations", lambda *_: 0)
            general = run(one, visible, BLOCK, 20)
        assert all((a == b).all() for a, b in zip(quick, general, strict=True))
        scale *= 1.4
    assert scale > 20


# Distributions

N_CHAINS = 1 << 14


def draw_from(one, proposal, n_sweeps=10):
    def draw(seed):
        visible = start(one, N_CHAINS, seed)
        if proposal.name == "exchange":
            visible[0] = one.visible.list_states(one.n_visible, 6, 7)[0]
        return run(one, visible, proposal, n_sweeps, seed=seed)[0][0]

    return draw


def reachable(one, proposal):
    """The exact probabilities, for exchanges among the states with the same units in other places."""
    states, p = exact_probabilities(one)
    if proposal.name == "exchange":
        units = states.reshape(len(states), -1, one.visible.entries).sum(axis=1)
        p = p * (units == units[6]).all(axis=1)
    return p / p.sum()


@pytest.mark.parametrize("proposal", PROPOSALS)
@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_distribution(kinds, proposal):
    one, proposal = model(VISIBLE[kinds[0]], HIDDEN[kinds[1]]), PROPOSALS[proposal]
    p = combined(draw_from(one, proposal), reachable(one, proposal), (11, 12), one.visible.state_index)
    assert 1e-3 < p < 1 - 1e-3


def wrong(right):
    def acceptance(x):
        p = right(x)
        return 1.01 * p if p < 1 else p

    return acceptance


@pytest.mark.parametrize(
    ("formula", "hidden", "cases"),
    [
        ("ratio_acceptance", "spin", [("spin", "flip", 1), ("potts", "block", 2)]),
        ("flip_acceptance", "gaussian", [("bernoulli", "exchange", 3)]),
    ],
    ids=["factors", "fields"],
)
def test_a_wrong_acceptance_fails(formula, hidden, cases, monkeypatch):
    # From p(v) itself, which the right acceptance keeps.
    wrong_kernel = with_wrong_formula(
        cpu.metropolis_sweeps, "metropolis", "mcgen.rbm.metropolis.formulas", formula, wrong
    )
    for visible, name, n_units in cases:
        one, proposal = model(VISIBLE[visible], HIDDEN[hidden], n_units=n_units, scale=1.0), PROPOSALS[name]
        states, p = exact_probabilities(one)[0], reachable(one, proposal)
        before = states[np.random.default_rng(1).choice(len(p), 1 << 21, p=p)][None]
        after = run(one, before, proposal, 3)[0][0]
        assert p_value(after, p, one.visible.state_index) > 1e-3
        with monkeypatch.context() as patch:
            patch.setattr(cpu, "metropolis_sweeps", wrong_kernel)
            after = run(one, before, proposal, 3)[0][0]
        assert p_value(after, p, one.visible.state_index) < 1e-6, (visible, name)


# Continuous visible units


def mixture(one):
    """Mean and covariance of Gaussian visible units with discrete hidden units: a Gaussian for each hidden state."""
    h = one.hidden.list_states(one.n_hidden, 0, one.hidden.n_states(one.n_hidden))
    m, variance = one.visible.mean_at_zero, one.visible.variance_at_zero
    fields = one.visible_bias + h @ one.weights.T
    means = m + variance * fields
    log_weights = h @ one.hidden_bias + (m * fields + variance * fields**2 / 2).sum(axis=1)
    p = np.exp(log_weights - log_weights.max())
    p /= p.sum()
    mean = p @ means
    return mean, np.diag(variance) + (means - mean).T @ ((means - mean) * p[:, None])


def relu_moments(one):
    """<v> and <v^2> of one ReLU visible unit, by integration of its free energy."""
    v = np.linspace(0, 20, 200001)
    energy = one.free_energy(v[:, None])
    p = np.exp(energy.min() - energy)
    p[0] /= 2
    p /= p.sum()
    return np.array([p @ v, p @ v**2])


def z_scores(samples, exact):
    """One number a chain: chains are independent."""
    return (samples.mean(axis=0) - exact) / (samples.std(axis=0, ddof=1) / np.sqrt(len(samples)))


def p_of(z):
    return chi2.sf(np.sum(np.square(z)), np.size(z))


@pytest.mark.parametrize("proposal", [FLIP, BLOCK], ids=["flip", "block"])
@pytest.mark.parametrize("hidden", VISIBLE)
def test_gaussian_visible_units_have_the_moments_of_the_mixture(hidden, proposal):
    one = model(Gaussian([0.4, -0.3], [0.5, 1.5]), HIDDEN[hidden], n_units=2, n_hidden=2, scale=1.0)
    v = run(one, start(one, 1 << 15), proposal, 40)[0][0]
    mean, covariance = mixture(one)
    z = z_scores(v, mean)
    centred = v - mean
    products = np.stack([centred[:, 0] ** 2, centred[:, 1] ** 2, centred[:, 0] * centred[:, 1]], axis=1)
    z = np.concatenate([z, z_scores(products, covariance[[0, 1, 0], [0, 1, 1]])])
    assert p_of(z) > 1e-3
    assert p_of(z + 0.02 * np.sqrt(len(v))) < 1e-6  # two hundredths of a standard deviation would be seen


@pytest.mark.parametrize("hidden", ["bernoulli", "potts"])
def test_relu_visible_units_have_the_moments_of_their_density(hidden):
    one = model(ReLU(-0.3, 0.8), HIDDEN[hidden], n_units=1, n_hidden=2, scale=1.0)
    v = run(one, start(one, 1 << 15), FLIP, 40)[0][0]
    assert v.min() >= 0
    z = z_scores(np.concatenate([v, v**2], axis=1), relu_moments(one))
    assert p_of(z) > 1e-3


# Bookkeeping


@pytest.mark.parametrize("visible", [*VISIBLE.values(), Gaussian(), ReLU()], ids=lambda kind: kind.name)
def test_calls_in_pieces_give_the_same_states(visible):
    one = model(visible, Spin(), n_units=7, n_hidden=5)
    for proposal in PROPOSALS.values():
        if obstacle(stack([one]), proposal):
            continue
        at_once, draws, accepted = run(one, start(one, 40), proposal, 12, 4, first_step=3)
        assert draws.dtype == one.visible.state_dtype(one.dtype)
        assert (draws[:, :, -1] == at_once).all()
        state, total = start(one, 40), 0
        for k in range(4):
            state, none, n_accepted = run(one, state, proposal, 3, first_step=3 + 3 * k)
            assert none.shape == (1, 40, 0, one.n_visible)
            assert (state == draws[:, :, k]).all()
            total += n_accepted
        assert (total == accepted).all()
        assert (total > 0).mean() > 0.9
        assert total.max() <= 12 * proposals_per_sweep(one.visible, one.n_visible, proposal)


def test_exchanges_keep_the_magnetisation():
    for visible in VISIBLE.values():
        one = model(visible, Bernoulli(), n_units=9)
        before = start(one, 50)
        after, _, accepted = run(one, before, EXCHANGE, 9)
        assert (after.reshape(50, 9, -1).sum(axis=1) == before.reshape(50, 9, -1).sum(axis=1)).all()
        assert accepted.min() > 0
        assert (after != before).any(axis=2).mean() > 0.9


def test_a_block_of_all_units_reaches_every_state():
    one = model(Bernoulli(), Bernoulli(), n_units=3)
    p = combined(draw_from(one, Proposal("block", 3), 40), reachable(one, FLIP), (11, 12), one.visible.state_index)
    assert 1e-3 < p < 1 - 1e-3


def test_each_chain_feels_its_own_hidden_bias():
    one = model(Spin(), Spin(), n_units=6, n_hidden=4)
    biases = np.random.default_rng(2).normal(size=(10, 4))
    visible = start(one, 10)
    several = sweep(stack([one])._replace(hidden_bias=biases[None]), visible.copy(), 5, 0, 0, 7, TARGET, FLIP)
    for chain in range(10):
        alone = sweep(
            stack([one])._replace(hidden_bias=biases[None, chain : chain + 1]), visible.copy(), 5, 0, 0, 7, TARGET, FLIP
        )
        assert (alone[0][0, chain] == several[0][0, chain]).all()
        assert alone[2][0, chain] == several[2][0, chain]


def test_chains_of_several_models_are_numbered_one_after_the_other():
    models = [model(Bernoulli(), Spin(), n_units=6, seed=seed) for seed in (1, 2)]
    n = GROUP  # whole groups, which begin anew with every model
    visible = np.concatenate([start(models[0], n, 1), start(models[0], n, 2)])
    both, _, accepted = sweep(stack(models), visible.copy(), 6, 0, 0, 7, TARGET, FLIP)
    # One model and twice the chains: the words of the second model's chains are those of the second half.
    for k, one in enumerate(models):
        alone, _, n_accepted = run(one, np.concatenate([visible[0], visible[1]])[None], FLIP, 6)
        assert (alone[0, n * k : n * k + n] == both[k]).all()
        assert (n_accepted[0, n * k : n * k + n] == accepted[k]).all()


@pytest.mark.parametrize("size", [1, 2, 5])
def test_all_units_are_chosen_equally_often(size):
    counts = np.zeros((5, 5))
    words = np.random.default_rng(4).integers(0, 2**32, (20000, size), dtype=np.uint32)
    order = np.arange(5)
    for row in words:
        cpu.metropolis.choose_units(order, row, 0, size)
        if size > 1:
            assert sorted(order) == list(range(5))
        counts[range(size), order[:size]] += 1
    expected = len(words) / 5
    for row in counts[:size]:
        assert chi2.sf(((row - expected) ** 2 / expected).sum(), 4) > 1e-4


def test_proposals_in_a_sweep():
    assert proposals_per_sweep(Spin(), 7, FLIP) == 7
    assert proposals_per_sweep(Spin(), 7, EXCHANGE) == 4
    assert proposals_per_sweep(Potts(3), 21, Proposal("block", 3)) == 3


def test_obstacles():
    assert obstacle(stack([model(Spin(), Spin())]), FLIP) is None
    assert "one" in obstacle(stack([model(Spin(), Spin(), n_units=1)]), EXCHANGE)
    assert "4 units" in obstacle(stack([model(Potts(3), Spin())]), Proposal("block", 4))
    assert "gaussian" in obstacle(stack([model(Gaussian(), Spin())]), EXCHANGE)
    assert obstacle(stack([model(Gaussian(), Spin())]), EXCHANGE).endswith("use proposal='flip' or 'block'")


def test_chains_of_a_group_choose_the_same_units_and_decide_for_themselves():
    # Without weights and with a strong bias every flip down is refused and every flip up is taken: from the state 0, a
    # unit is up after a sweep if it was chosen.
    one = RBM(np.zeros((40, 3)), np.full(40, 50.0), np.zeros(3))
    chosen = run(one, np.zeros((1, 2 * GROUP + 3, 40)), FLIP)[0][0]
    for first in range(0, len(chosen), GROUP):
        assert (chosen[first] == chosen[first : first + GROUP]).all()
    assert (chosen[0] != chosen[GROUP]).any()
    assert (chosen[GROUP] != chosen[2 * GROUP]).any()
    free = run(RBM(np.zeros((40, 3)), np.zeros(40), np.zeros(3)), np.zeros((1, GROUP, 40)), FLIP)[0][0]
    assert len(np.unique(free, axis=0)) == GROUP


def test_averages_over_chains_of_a_group_are_not_correlated():
    # From p(v) itself: the average of 32 chains after some sweeps has 1/32 of the variance of one.
    one = model(Spin(), Spin(), n_units=4, n_hidden=3, scale=0.3)
    states, p = exact_probabilities(one)
    n_groups = 2000
    visible = states[np.random.default_rng(1).choice(len(p), n_groups * GROUP, p=p)][None]
    after = run(one, visible, FLIP, 3)[0][0].reshape(n_groups, GROUP, -1)
    mean = p @ states
    variance = p @ states**2 - mean**2
    z = (after.mean(axis=1) - mean) / np.sqrt(variance / GROUP)
    assert np.abs((z**2).mean(axis=0) - 1).max() < 5 * np.sqrt(2 / n_groups)


@pytest.mark.parametrize("n_chains", [1, 3, 4, 6, 130])
@pytest.mark.parametrize("hidden", ["bernoulli", "gaussian"])
def test_a_chain_does_not_know_how_many_there_are(hidden, n_chains):
    one = model(Bernoulli(), HIDDEN[hidden], n_units=50, n_hidden=70, scale=0.2)
    visible = start(one, 300)
    for proposal in PROPOSALS.values():
        all_chains, some = run(one, visible, proposal, 4), run(one, visible[:, :n_chains], proposal, 4)
        assert (all_chains[0][:, :n_chains] == some[0]).all()
        assert (all_chains[2][:, :n_chains] == some[2]).all()


def test_a_kind_without_a_move_is_refused():
    class Ternary(rbm.Bernoulli):
        name = "ternary"
        code = 99

    model = rbm.RBM.random(4, 3, seed=1, visible=Ternary())
    with pytest.raises(InputError, match="method='metropolis' has no move for ternary units; use method='gibbs'"):
        rbm.sample(model, n_chains=2, n_draws=1, method="metropolis")
