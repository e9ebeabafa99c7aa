"""The same bytes from one thread and from two."""

import os
import subprocess
import sys

CODE = """
import hashlib, numba, numpy as np
from mcgen import ising, rbm, rng, vae
assert numba.get_num_threads() == int(__import__("os").environ["NUMBA_NUM_THREADS"])

def show(name, *arrays):
    print(name, hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest())

show("words", rng.words(3, 0, 100, 33))
lattice = ising.Ising((4, 5))
settings = {"n_draws": 4, "thin": 3, "burn_in": 7, "seed": 5}
for method in ("metropolis", "heatbath", "wolff", "swendsen-wang", "exact"):
    show(method, ising.sample(lattice, 2.0, n_chains=33, method=method, **settings).states)
for shape, n_chains in (((4, 6), 900), ((32, 64), 40), ((32, 512), 1)):  # the last is shared by threads
    for method in ("metropolis", "heatbath"):
        run = ising.sample(ising.Ising(shape), 2.0, n_chains=n_chains, method=method, **settings)
        show(f"{run.kernel} {method}", run.states)
for run in ising.sample(ising.Ising((4, 6)), [2.0, 4.0], n_chains=900, method="tempering", **settings):
    show("tempering", run.states)
show("energies", ising.exact.state_energies(ising.Ising((3, 4), coupling=0.3)))
model = rbm.RBM.random(20, 13, seed=1, scale=0.7)
for method in ("gibbs", "metropolis", "tempering"):
    show(method, rbm.sample(model, n_chains=33, n_draws=4, thin=2, burn_in=5, method=method, seed=6).states)
wide = rbm.RBM(*(array.astype(np.float32) for array in rbm.RBM.random(300, 200, seed=1, scale=0.1).parameters))
for method, n_chains in (("gibbs", 300), ("metropolis", 40)):  # several blocks of chains
    show(f"wide {method}", rbm.sample(wide, n_chains, n_draws=2, thin=2, burn_in=1, method=method, seed=6).states)
mixture = rbm.RBM.random(30, 12, seed=1, scale=0.3, visible="gaussian")
show("listing", rbm.exact.log_partition(mixture), *rbm.exact.negative_phase(mixture))
show("mixture", *rbm.exact.visible_moments(mixture), rbm.exact.sample(mixture, 500, seed=3))
for hidden in ("gaussian", "relu", rbm.Potts(3)):
    pair = rbm.RBM.random(30, 12, seed=1, scale=0.3, visible="spin", hidden=hidden)
    show(str(hidden), rbm.sample(pair, n_chains=100, n_draws=2, thin=2, burn_in=5, seed=6).free_energy)
for start in (model, wide):  # the second has several blocks of chains
    both = rbm.partition.sandwich(start, n_runs=200, n_temperatures=30, burn_in=20, seed=4)
    show("annealing", [both.value, both.error, both.lower, both.upper], both.settings["betas"])
spins = (rng.words(1, 0, 500, 16) % 2).astype(np.int8) * 2 - 1
net = vae.VAE(n_features=16, hidden=(40, 30), n_latent=3, decoder="spin", seed=1)
for objective, n_draws in (("elbo", 2), ("importance", 5)):
    fit = vae.train(net, spins, epochs=2, batch_size=100, objective=objective, n_draws=n_draws, clip=1.0, seed=2)
    show(f"vae {objective}", fit.model.parameters)
show("vae log p", vae.log_likelihood(net, spins[:50], n_importance=200, seed=3), vae.elbo(net, spins, seed=3).total)
torus = vae.Convolution((4, 4, 1), (9,), 3, 2, "periodic")
lattice_net = vae.VAE(hidden=(8,), n_latent=1, decoder="spin", convolution=torus)
show("vae convolution", vae.train(lattice_net, spins, epochs=1, batch_size=100, seed=2).model.parameters)
show("vae quadrature", vae.log_probabilities(lattice_net, tolerance=1e-3).value)
tied = rbm.RBM.symmetric((4, 5), n_filters=1, seed=1, visible="bernoulli")
show("log Z", rbm.exact.log_partition(model))
show("moments", *rbm.exact.negative_phase(model))
large = rbm.RBM.random(300, 15, seed=1, scale=0.2)
show("large", rbm.exact.log_partition(large), *rbm.exact.negative_phase(large))
show("exact draws", rbm.exact.sample(model, 500, seed=3))
glass = ising.Ising((4, 5), np.random.default_rng(1).normal(size=(2, 4, 5)), 0.3)
for method in ("enumeration", "transfer"):
    show(method, np.array(ising.exact.thermodynamics(glass, 1.7, method=method)[:-1]))
show("lattice draws", ising.exact.sample(glass, 1.7, n_draws=300, seed=5))
v = rbm.sample(model, n_chains=300, n_draws=1, seed=7).states[:, 0]
show("gradient", *rbm.exact.gradient(model, v))
for negative_phase in ("exact", "cd", "pcd", "weighted", "tempering", "trajectory"):
    arguments = {"negative_phase": negative_phase, "epochs": 2, "batch_size": 64, "n_chains": 50, "seed": 8}
    trained = rbm.train(model, v, **arguments, optimizer="natural" if negative_phase == "weighted" else "adam")
    show(negative_phase, *trained.model.parameters, trained.chains, *trained.history.values())
rows = rbm.sample(wide, n_chains=1500, n_draws=1, seed=7).states[:, 0]  # several blocks in every kernel
trained = rbm.train(wide, rows, negative_phase="pcd", epochs=1, n_chains=200, batch_size=1300, centered=True, seed=8)
show("wide training", *trained.model.parameters, *trained.history.values())
show("likelihood", *rbm.maximum_likelihood(tied, v, max_iterations=20).model.parameters)
"""


def run(threads):
    environment = os.environ | {"NUMBA_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    # -P: not the package in the folder it starts in, but that of the other tests, whose kernels are compiled already.
    command = [sys.executable, "-P", "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_results_do_not_depend_on_the_number_of_threads():
    one = run(1)
    assert len(one.splitlines()) == 48
    assert run(2) == one
