"""Work that ranks share out, and a digest of each result: test_ranks.py runs it on 1, 2 and 4 of them.

`python rank_work.py digests` prints one JSON object on rank 0, `python rank_work.py commands WORDS ...` runs commands,
`python rank_work.py killed OUTPUT` has a rank die.
"""

import hashlib
import json
import os
import signal
import sys
import warnings
from unittest import mock

import numpy as np

from mcgen import cli, ising, parallel, rbm
from mcgen.ising.exact import summation
from mcgen.rbm.exact import two_level

WORLD = parallel.world()
LATTICE = ising.Ising((8, 8))


def digest(*arrays):
    return hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest()[:16]


def whole(runs, series, n_chains):
    """The arrays of all ranks and what they counted together."""
    for run in runs if isinstance(runs, list) else [runs]:
        for name in ("states", *series):
            array = getattr(run, name)  # where replicas are shared out, every rank has all chains
            yield array if len(array) == n_chains else np.concatenate(WORLD.gather(array))
        if run.exchange is not None:
            yield from (run.exchange.swap_rates, run.exchange.round_trips, run.exchange.n_sweeps)


def sample(temperature, n_chains, **settings):
    warnings.simplefilter("ignore")  # short chains
    runs = ising.sample(LATTICE, temperature, n_chains, n_draws=4, thin=2, burn_in=40, seed=3, world=WORLD, **settings)
    rates = [run.flip_rate for run in (runs if isinstance(runs, list) else [runs])]
    return digest(*whole(runs, ("energy", "magnetization"), n_chains), rates)


def sample_model(method):
    warnings.simplefilter("ignore")
    model = rbm.RBM.random(20, 12, seed=1, scale=0.8)
    run = rbm.sample(model, n_chains=9, n_draws=4, thin=2, burn_in=20, method=method, seed=2, world=WORLD)
    return digest(*whole(run, ("free_energy", "magnetization"), 9))


def exact_sums():
    """In small blocks."""
    with (
        mock.patch.object(summation, "BLOCK_BITS", 18),
        mock.patch.object(two_level, "TERMS_PER_BLOCK", {"cpu": 1 << 16}),
        mock.patch.object(two_level, "BYTES_PER_BLOCK", 1 << 16),
    ):
        return digest_of_sums()


def digest_of_sums():
    of_lattice = summation.summarize(ising.Ising((5, 4), field=0.1), 2.0, world=WORLD)
    model = rbm.RBM.random(20, 18, seed=1, scale=0.5)
    potts = rbm.RBM.random(18, 12, seed=1, scale=0.5, visible=rbm.Potts(3), hidden="gaussian")
    sums = [rbm.exact.log_partition(one, world=WORLD) for one in (model, potts)]
    for one in (model, potts):
        sums += rbm.exact.moments(one, world=WORLD)
    return digest(*of_lattice, *sums)


def train(negative_phase, **settings):
    v = (np.random.default_rng(3).random((150, 37)) < 0.3).astype(np.int8)
    start = rbm.RBM.random(37, 11, seed=1, dtype=settings.pop("dtype", np.float32))
    trained = rbm.train(
        start, v, negative_phase, gibbs_steps=2, n_chains=21, epochs=2, batch_size=40, seed=5, world=WORLD, **settings
    )
    return digest(*trained.model.parameters, trained.chains, *trained.history.values())


WORK = {
    "single-flip": lambda: sample(2.3, 7, kernel="single-flip"),
    "bit-sliced": lambda: sample(2.3, 1100),
    "wolff": lambda: sample([2.0, 2.5], 5, method="wolff"),
    "tempering": lambda: sample([2.0, 4.0], 5, method="tempering", kernel="single-flip"),
    "tempering of few chains": lambda: sample([2.0, 4.0], 1, method="tempering", kernel="single-flip"),
    "tempering of bits": lambda: sample([2.0, 4.0], 1100, method="tempering"),
    "gibbs": lambda: sample_model("gibbs"),
    "tempering of a model": lambda: sample_model("tempering"),
    "exact sums": exact_sums,
    "cd": lambda: train("cd"),
    "pcd": lambda: train("pcd", centered=True, l2=0.01, dtype=np.float64),
}


def fail(how, output):
    """Draw a run, in which rank 1 dies after its first block."""
    stream = ising.stream

    def broken(*arguments, **settings):
        yield from stream(*arguments, **settings)
        if WORLD.rank == 1:
            if how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            raise MemoryError("no room for the states")

    ising.stream = broken
    words = "ising sample --shape 4 4 --temperature 2 3 --chains 2 --draws 3 --thin 1 --burn-in 40 --kernel single-flip"
    sys.exit(cli.main([*words.split(), "--output", output]))


def fail_in_training(words):
    """Rank 1 is killed after the first epoch, which rank 0 has kept."""
    train = rbm.train

    def broken(*arguments, checkpoint, **settings):
        def keep(result):
            checkpoint(result)
            WORLD.wait()
            if WORLD.rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)

        return train(*arguments, checkpoint=keep, **settings)

    rbm.train = broken
    sys.exit(cli.main(words.split()))


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what in ("killed", "raises"):
        fail(what, *words)
    if what == "killed-training":
        fail_in_training(*words)
    if what == "commands":
        sys.exit(max(cli.main(words.split()) for words in words))
    found = {name: work() for name, work in WORK.items()}
    if WORLD.rank == 0:
        print(json.dumps(found))
