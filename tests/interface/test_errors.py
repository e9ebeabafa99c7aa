"""Bad input: one clear error that names the value, the limit and the way out, before any work starts."""

import numpy as np
import pytest

from mcgen import backend, enumeration, ising, observables, rbm, results, rng, stats
from mcgen.errors import DeviceError, InputError, SizeError

LATTICE = ising.Ising((2, 2))
MODEL = rbm.RBM.random(4, 3, seed=1)
SPINS = rbm.RBM.random(4, 3, seed=1, visible="spin", hidden="spin")
ROWS = np.array([[0, 1, 1, 0], [1, 1, 0, 0]])
NAN = float("nan")

CASES = {
    # training, log Z and evaluation
    "patience without rows": (lambda: rbm.train(MODEL, ROWS, patience=2), "patience=2 needs validation rows"),
    "sweeps of cd by themselves": (lambda: rbm.train(MODEL, ROWS, gibbs_steps="auto"), "one of pcd, weighted"),
    "negative weights of rows": (lambda: rbm.train(MODEL, ROWS, row_weights=[1, -1]), "row_weights lie between -1"),
    "unknown schedule": (lambda: rbm.train(MODEL, ROWS, schedule="zigzag"), "schedule='zigzag' is unknown"),
    "norm and natural gradient": (
        lambda: rbm.train(MODEL, ROWS, optimizer="natural", max_weight_norm=1.0),
        "max_weight_norm=1 shortens weights after a step.*use l2",
    ),
    "no damping": (lambda: rbm.train(MODEL, ROWS, optimizer="natural", damping=0), "damping=0.0 is not positive"),
    "rates of another length": (lambda: rbm.train(MODEL, ROWS, learning_rate=[0.1]), r"learning_rate has shape \(1,\)"),
    "no pattern": (lambda: rbm.low_rank_start(MODEL, [[0, 1, 0, 1]] * 9), "there is no pattern to start from"),
    "one run": (lambda: rbm.partition.ais(MODEL, n_runs=1), "n_runs=1 is too small; give an integer of at least 2"),
    "one temperature": (lambda: rbm.partition.ais(MODEL, n_temperatures=1), "n_temperatures=1 is too small"),
    "path that turns": (lambda: rbm.partition.ais(MODEL, betas=[0, 0.6, 0.5, 1]), "betas"),
    "samples of another model": (
        lambda: rbm.partition.reverse_ais(MODEL, samples=np.zeros((5, 3))),
        "samples has shape",
    ),
    "unknown way to log Z": (lambda: rbm.partition.log_partition(MODEL, "magic"), "method='magic' is unknown"),
    "setting of another method": (
        lambda: rbm.partition.log_partition(MODEL, "tap", n_runs=5),
        "n_runs is no setting of method='tap'",
    ),
    "no models": (lambda: rbm.partition.trajectory([]), "trajectory"),
    "likelihood without log Z": (
        lambda: rbm.evaluation.log_likelihood(rbm.RBM.random(60, 50, seed=1), np.zeros((2, 60))),
        "log_partition",
    ),
    "likelihood of no rows": (
        lambda: rbm.exact.log_likelihood(MODEL, np.empty((0, MODEL.n_visible))),
        r"v has shape \(0, \d+\); give a table of at least one row",
    ),
    "couplings of real units": (
        lambda: rbm.evaluation.effective_couplings(rbm.RBM.random(4, 2, seed=1, visible="gaussian")),
        "gaussian",
    ),
    # lattice
    "no axis": (lambda: ising.Ising(()), "shape=.* has no axis; give"),
    "empty axis": (lambda: ising.Ising((4, 0)), "shape=0 is too small; give an integer of at least 1"),
    "real shape": (lambda: ising.Ising((4.5,)), "shape=4.5 is not an integer"),
    "shape that is no list": (lambda: ising.Ising(4.5), r"shape=4.5 is no list of lengths; give one.*\(4, 4\)"),
    "boundaries that are none": (lambda: ising.Ising((2, 2), periodic=None), "periodic=None is no truth value; give"),
    "correlations without states": (
        lambda: observables.correlations(ising.sample(LATTICE, 2.0, 2, 3, keep_states=False), LATTICE),
        "kept energies of 6 draws but no states; draw with keep_states=True",
    ),
    "correlation length without states": (
        lambda: observables.correlation_length(
            ising.sample(ising.Ising((4, 4)), 2.0, 2, 3, keep_states=False), ising.Ising((4, 4))
        ),
        "no states; draw with keep_states=True",
    ),
    "self bond": (lambda: ising.Ising((1, 4)), "axis 0 has length 1 and is periodic.*periodic=False"),
    "couplings of another shape": (
        lambda: ising.Ising((2, 3), coupling=np.ones((2, 3))),
        r"coupling has shape \(2, 3\); its shape must be \(2, 2, 3\)",
    ),
    "nan coupling": (lambda: ising.Ising((2, 2), coupling=NAN), "coupling has 1 values that are NaN"),
    "infinite field": (lambda: ising.Ising((2, 2), field=[[0, np.inf], [0, 0]]), r"first at index \(0, 1\)"),
    "text field": (lambda: ising.Ising((2, 2), field="up"), "field is not an array of real numbers"),
    "boundaries for another dimension": (
        lambda: ising.Ising((2, 2), periodic=(True,)),
        "periodic has 1 entries for 2 axes",
    ),
    "states of another shape": (
        lambda: LATTICE.energy(np.ones((3, 3))),
        r"last axes must be the lattice's shape \(2, 2\)",
    ),
    "states that are no spins": (
        lambda: LATTICE.energy([[0, 1], [1, 1]]),
        r"value 0 at index \(0, 0\), but spin units",
    ),
    # temperature and counts
    "negative temperature": (
        lambda: ising.sample(LATTICE, -1.0),
        "temperature=-1.0 is not positive; give a number above 0",
    ),
    "zero temperature": (lambda: ising.exact.thermodynamics(LATTICE, 0), "temperature=0.0 is not positive"),
    "nan temperature": (lambda: ising.exact.log_partition(LATTICE, NAN), "temperature=nan is not finite"),
    "text temperature": (lambda: ising.sample(LATTICE, "hot"), "temperature='hot' is not a number"),
    "no chains": (
        lambda: ising.sample(LATTICE, 1.0, n_chains=0),
        "n_chains=0 is too small; give an integer of at least 1",
    ),
    "no draws": (lambda: ising.sample(LATTICE, 1.0, n_draws=0), "n_draws=0 is too small"),
    "no thinning": (lambda: ising.sample(LATTICE, 1.0, thin=0), "thin=0 is too small"),
    "negative burn-in": (lambda: ising.sample(LATTICE, 1.0, burn_in=-1), "burn_in=-1 is too small"),
    "true chains": (lambda: ising.sample(LATTICE, 1.0, n_chains=True), "n_chains=True is a truth value"),
    "too many sweeps": (
        lambda: ising.sample(LATTICE, 1.0, burn_in=2**32),
        "is too large; give an integer of at most 4294967295",
    ),
    "unknown method": (
        lambda: ising.sample(LATTICE, 1.0, method="magic"),
        "'magic' is unknown; choose one of 'metropolis'",
    ),
    "unknown start": (lambda: ising.sample(LATTICE, 1.0, initial="down"), "initial='down' is unknown"),
    "start of another shape": (
        lambda: ising.sample(LATTICE, 1.0, n_chains=3, initial=np.ones((2, 2, 2))),
        r"initial has shape \(2, 2, 2\); its shape must be \(3, 2, 2\)",
    ),
    "several temperatures that are one": (
        lambda: ising.sample(LATTICE, [2.0, 2.0], method="tempering"),
        r"needs two or more different temperatures, and got \[2.0, 2.0\]; give a list such as",
    ),
    "a single temperature to exchange": (
        lambda: ising.sample(LATTICE, 2.0, method="tempering"),
        r"needs two or more different temperatures, and got \[2.0\]",
    ),
    "unknown ladder": (
        lambda: ising.sample(LATTICE, [1.0, 2.0], method="tempering", ladder="rope"),
        "ladder='rope' is unknown; choose one of 'adaptive', 'fixed'",
    ),
    "a stream of several temperatures": (
        lambda: ising.stream(LATTICE, [1.0, 2.0]),
        "temperature has 2 entries; method='metropolis' is streamed one temperature at a time",
    ),
    "clusters of an antiferromagnet": (
        lambda: ising.sample(ising.Ising((2, 2), -0.5), 2.0, method="wolff"),
        "needs couplings of at least 0, but the smallest is -0.5; use method='metropolis'",
    ),
    "bits with a field": (
        lambda: ising.sample(ising.Ising((2, 2), field=0.1), 2.0, kernel="bit-sliced"),
        "kernel='bit-sliced' is not for this lattice: it has a field; use kernel='auto'",
    ),
    "bits on an odd ring": (
        lambda: ising.sample(ising.Ising((5,)), 2.0, kernel="bit-sliced"),
        "a periodic axis has an odd length",
    ),
    "a kernel for clusters": (
        lambda: ising.sample(LATTICE, 2.0, method="wolff", kernel="single-flip"),
        "kernel='single-flip' is for single spin flips; with method='wolff' leave it at 'auto'",
    ),
    "exact draws out of reach": (
        lambda: ising.sample(ising.Ising((16, 16)), 2.0, method="exact"),
        "frontier",
    ),
    "negative seed": (lambda: ising.sample(LATTICE, 1.0, seed=-1), "seed=-1 is too small"),
    "huge seed": (lambda: rng.split_seed(2**64), "seed=18446744073709551616 is too large"),
    "unknown device": (lambda: backend.target("tpu"), "device='tpu' is unknown; choose one of 'cpu', 'cuda'"),
    # enumeration
    "lattice too large": (
        lambda: ising.exact.log_partition(ising.Ising((40, 40), field=1.0), 1.0),
        "no exact method reaches the lattice .*enumeration: .*1600 sites.*transfer: .*frontier.*ising.sample",
    ),
    "visible layer too large": (
        lambda: rbm.exact.probabilities(rbm.RBM.random(25, 2, seed=1)),
        "25 two-level units.*reaches 24.*log_likelihood",
    ),
    "both layers too large": (
        lambda: rbm.exact.log_partition(rbm.RBM.random(42, 41, seed=1)),
        "smaller layer.*41 units, 2\\^41 states; the exact sum for log Z reaches 40 .*annealed importance sampling",
    ),
    "exact training too large": (
        lambda: rbm.train(rbm.RBM.random(40, 32, seed=1), np.zeros((2, 40)), negative_phase="exact"),
        "a sum of 40 x 2\\^32 terms in each step; training reaches 2\\^34 terms; use rbm.train with negative_phase='pcd'",
    ),
    # model
    "no units": (lambda: rbm.RBM(np.ones((3, 0)), np.ones(3), np.ones(0)), "both layers need at least one unit"),
    "flat weights": (
        lambda: rbm.RBM(np.ones(3), np.ones(3), np.ones(1)),
        r"weights has shape \(3,\); its shape must be \(any, any\)",
    ),
    "bias of another length": (
        lambda: rbm.RBM(np.ones((3, 2)), np.ones(2), np.ones(2)),
        r"visible_bias has shape \(2,\)",
    ),
    "nan weights": (lambda: rbm.RBM(np.full((3, 2), NAN), np.ones(3), np.ones(2)), "weights has 6 values that are NaN"),
    "unknown units": (
        lambda: rbm.RBM.random(2, 2, seed=1, hidden="fermion"),
        "hidden='fermion' is unknown; choose one of 'bernoulli', 'spin', 'potts', 'gaussian', 'relu'",
    ),
    # data
    "rows of another length": (
        lambda: rbm.train(MODEL, np.zeros((5, 3))),
        "v has shape .*last axis must have length 4",
    ),
    "no rows": (lambda: rbm.train(MODEL, np.zeros((0, 4))), "give a table of at least one row"),
    "one row": (lambda: rbm.positive_phase(MODEL, np.zeros(4)), "give a table"),
    "nan data": (
        lambda: rbm.train(MODEL, np.array([[0, 1, NAN, 0]])),
        r"v has 1 values that are NaN or infinite, the first at index \(0, 2\)",
    ),
    "infinite data": (lambda: rbm.positive_phase(MODEL, [[0, np.inf, 0, 0]]), "remove or replace"),
    "text data": (lambda: rbm.train(MODEL, [["a"] * 4]), "v is not an array of real numbers"),
    "ragged data": (lambda: rbm.train(MODEL, [[0, 1], [1]]), "v is not an array of real numbers"),
    "spins for bernoulli units": (
        lambda: rbm.train(MODEL, 2 * ROWS - 1),
        r"v has the value -1 at index \(0, 0\), but bernoulli.*v = \(s \+ 1\) / 2",
    ),
    "bits for spin units": (
        lambda: rbm.exact.log_likelihood(SPINS, ROWS),
        "v has the value 0.*spin units have the states -1 and 1",
    ),
    "fractions as data": (lambda: rbm.positive_phase(MODEL, ROWS * 0.5), "v has the value 0.5"),
    "means out of range": (
        lambda: MODEL.hidden_mean(ROWS * 2.0),
        "v has values from 0.0 to 2.0, but bernoulli units lie between 0",
    ),
    "hidden states of another length": (lambda: MODEL.visible_mean(np.zeros(4)), "h has shape .*length 3"),
    "row weights of another length": (
        lambda: rbm.positive_phase(MODEL, ROWS, row_weights=[1.0]),
        r"row_weights has shape \(1,\)",
    ),
    # training
    "no epochs": (lambda: rbm.train(MODEL, ROWS, epochs=0), "epochs=0 is too small"),
    "no batch": (lambda: rbm.train(MODEL, ROWS, batch_size=0), "batch_size=0 is too small"),
    "no gibbs steps": (lambda: rbm.train(MODEL, ROWS, gibbs_steps=0), "gibbs_steps=0 is too small"),
    "negative rate": (lambda: rbm.train(MODEL, ROWS, learning_rate=-0.1), "learning_rate=-0.1 is not positive"),
    "zero final rate": (
        lambda: rbm.train(MODEL, ROWS, final_learning_rate=0),
        "final_learning_rate=0.0 is not positive",
    ),
    "unknown phase": (lambda: rbm.train(MODEL, ROWS, negative_phase="magic"), "choose one of 'exact', 'cd', 'pcd'"),
    "unknown optimizer": (lambda: rbm.train(MODEL, ROWS, optimizer="lion"), "optimizer='lion' is unknown"),
    "momentum of one": (lambda: rbm.train(MODEL, ROWS, optimizer="sgd", momentum=1.0), "momentum=1.0 is out of range"),
    "validation of other units": (
        lambda: rbm.train(MODEL, ROWS, validation=2 * ROWS - 1),
        "validation has the value -1",
    ),
    "no validation rows": (
        lambda: rbm.train(MODEL, ROWS, validation=np.zeros((0, 4))),
        "validation .*at least one row",
    ),
    "truth of another size": (
        lambda: rbm.train(MODEL, ROWS, truth=np.full(8, 1 / 8)),
        r"truth has shape \(8,\); its shape must be \(16,\)",
    ),
    "truth that is none": (
        lambda: rbm.train(MODEL, ROWS, truth=np.full(16, 0.1)),
        "truth adds up to 1.6.*divide by the sum",
    ),
    "negative probability": (
        lambda: rbm.exact.kl_divergence(np.array([1.5, -0.5] + [0] * 14), MODEL),
        "negative value -0.5",
    ),
    # sampling
    # units
    "potts units without a number": (
        lambda: rbm.RBM.random(6, 2, seed=1, visible="potts"),
        r"visible='potts' lacks the number of states; give visible=rbm.Potts\(q=3\)",
    ),
    "potts units of one state": (lambda: rbm.Potts(1), "q=1 is too small; give an integer of at least 2"),
    "potts units that do not fit": (
        lambda: rbm.RBM.random(7, 2, seed=1, visible=rbm.Potts(3)),
        r"visible=Potts\(q=3\) has 3 entries for each unit, but the layer has 7 entries; give a multiple of 3",
    ),
    "not one-hot": (
        lambda: rbm.RBM.random(3, 2, seed=1, visible=rbm.Potts(3)).free_energy([[1, 1, 0]]),
        "v is not one-hot: potts units have 3 neighbouring entries",
    ),
    "no variance": (
        lambda: rbm.Gaussian(variance=0),
        "variance has the value 0.0; variances of gaussian units are above 0",
    ),
    "nan variance": (lambda: rbm.ReLU(variance=[1, NAN]), "variance has 1 values that are NaN"),
    "a table of means": (
        lambda: rbm.Gaussian(mean=np.ones((2, 2))),
        r"mean has shape \(2, 2\); give one number, or one",
    ),
    "means for another layer": (
        lambda: rbm.RBM.random(3, 2, seed=1, visible=rbm.Gaussian(mean=[1, 2])),
        "visible: mean of its gaussian units has 2 values, but the layer has 3 units",
    ),
    "negative relu": (
        lambda: rbm.RBM.random(2, 2, seed=1, visible="relu").free_energy([[1, -1]]),
        "v has the value -1; relu units are not negative",
    ),
    "no finite Z": (
        lambda: rbm.RBM(np.full((2, 2), 3.0), np.zeros(2), np.zeros(2), "gaussian", "gaussian"),
        "no finite Z: weights times standard deviations have the norm 6, and it must be below 1",
    ),
    "training beyond a finite Z": (
        lambda: rbm.train(
            rbm.RBM.random(2, 2, seed=1, visible="gaussian", hidden="gaussian"), 5 * np.ones((9, 2)), learning_rate=3.0
        ),
        "training diverged in epoch 1 .*no finite Z.*use a smaller learning rate",
    ),
    "symmetry of potts units": (
        lambda: rbm.RBM.symmetric((2, 2), 1, seed=1, hidden=rbm.Potts(2)),
        "hidden='potts': tied filters have one weight for each site",
    ),
    "unknown device of a list of states": (
        lambda: rbm.exact.log_partition(rbm.RBM.random(6, 3, seed=1, visible=rbm.Potts(3)), device="tpu"),
        "device='tpu' is unknown; choose one of 'cpu', 'cuda'",
    ),
    # samplers
    "ladder of gibbs": (
        lambda: rbm.sample(MODEL, ladder=[0, 1]),
        "ladder is for method='tempering', and method is 'gibbs'",
    ),
    "ladder that goes down": (
        lambda: rbm.sample(MODEL, method="tempering", ladder=[0.5, 0.2, 1.0]),
        "ladder has 0.5 before 0.2 at index 0; give each once, in increasing order",
    ),
    "ladder that ends too early": (
        lambda: rbm.sample(MODEL, method="tempering", ladder=[0.0, 0.9]),
        "ladder has 0 first and 0.9 last; start at 0 or above, and end at 1",
    ),
    "ladder of one": (lambda: rbm.sample(MODEL, method="tempering", ladder=[1.0]), "ladder=.* is no ladder; give two"),
    "ladder of a number": (
        lambda: rbm.sample(MODEL, method="tempering", ladder=1.0),
        r"ladder has shape \(\); its shape must be",
    ),
    "nan in the ladder": (
        lambda: rbm.sample(MODEL, method="tempering", ladder=[0, NAN, 1]),
        "has 1 values that are NaN",
    ),
    "ladder of another model": (
        lambda: rbm.sample(MODEL, method="tempering", ladder=[SPINS]),
        "has 'bernoulli'|has Bernoulli",
    ),
    "unknown proposal": (
        lambda: rbm.sample(MODEL, method="metropolis", proposal="jump"),
        "choose one of 'flip', 'exchange'",
    ),
    "block of too many": (
        lambda: rbm.sample(MODEL, method="metropolis", proposal="block", block_size=5),
        "block_size=5 is too large; give an integer of at most 4",
    ),
    "exchange of continuous units": (
        lambda: rbm.sample(rbm.RBM.random(3, 2, seed=1, visible="gaussian"), method="metropolis", proposal="exchange"),
        "an exchange never changes the values of gaussian units.*'flip'",
    ),
    "exact draws with a start": (
        lambda: rbm.sample(MODEL, n_chains=2, method="exact", initial=ROWS),
        "initial is for Markov chains, and method='exact' draws independently",
    ),
    "exact draws of a model out of reach": (
        lambda: rbm.sample(rbm.RBM.random(42, 41, seed=1), n_chains=2, method="exact"),
        "the smaller layer of .* has 41 units",
    ),
    "clamped beyond the layer": (
        lambda: rbm.sample(MODEL, clamped_units=[4], clamped_values=[1]),
        "clamped_units has the index 4, but the visible units of .* are 0 to 3",
    ),
    "no model chains": (lambda: rbm.sample(MODEL, n_chains=0), "n_chains=0 is too small"),
    "unknown sampler": (
        lambda: rbm.sample(MODEL, method="magic"),
        "choose one of 'gibbs', 'metropolis', 'tempering', 'exact'",
    ),
    "start of other units": (
        lambda: rbm.sample(MODEL, n_chains=1, initial=[[-1, 1, 1, 1]]),
        "initial has the value -1",
    ),
    "start of too few chains": (
        lambda: rbm.sample(MODEL, n_chains=2, initial=[[0, 1, 1, 1]]),
        r"its shape must be \(2, 4\)",
    ),
    # statistics
    "nan series": (lambda: stats.mean([1.0, NAN]), "series has 1 values that are NaN"),
    "single number": (lambda: stats.mean([1.0]), "at least two draws"),
    "series of three axes": (
        lambda: stats.integrated_time(np.zeros((2, 2, 2))),
        "must be .n_draws,. or .n_chains, n_draws.",
    ),
    "observables of other sites": (
        lambda: observables.summary(np.ones((3, 5)), LATTICE, 1.0),
        r"last axes must be \(2, 2\), or one axis of 4",
    ),
    "observables of fractions": (lambda: observables.spins(np.full((2, 4), 0.5), LATTICE), "states has the value 0.5"),
    "observables at no temperature": (
        lambda: observables.summary(np.ones((3, 4)), LATTICE, 0.0),
        "temperature=0.0 is not positive",
    ),
    "saving a number": (lambda: results.save("number.h5", 3), "a int cannot be saved; give samples, a model"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_with_one_clear_line(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    act, words = CASES[case]
    with pytest.raises(InputError, match=words) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) > 30


def test_too_large_sums_are_size_errors():
    for act in (CASES["lattice too large"][0], CASES["both layers too large"][0], CASES["visible layer too large"][0]):
        with pytest.raises(SizeError):
            act()


def test_errors_come_before_work(monkeypatch):
    # Nothing is compiled or drawn when an argument is wrong.
    monkeypatch.setattr(rng, "words", lambda *_, **__: pytest.fail("work had started"))
    with pytest.raises(InputError):
        ising.sample(LATTICE, 1.0, method="magic")
    with pytest.raises(InputError):
        rbm.train(MODEL, ROWS, truth=np.ones(3))
    with pytest.raises((DeviceError, InputError)):
        rbm.sample(MODEL, device="tpu")


def test_empirical_distribution_of_too_many_units():
    with pytest.raises(SizeError, match="the data has 25 two-level units"):
        enumeration.empirical_distribution(np.zeros((2, 25)))
