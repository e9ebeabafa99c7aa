"""What a stream of random words is for: the fourth word of every counter.

Streams of different purposes never share a counter, whatever the seed, so a start state and the sweeps that follow it
are independent. A number, once released, keeps its meaning.
"""

DERIVE_SEED = 0
ISING_START = 1
ISING_SWEEP = 2
RBM_PARAMETERS = 3
RBM_START = 4
RBM_HIDDEN = 5
RBM_VISIBLE = 6
RBM_METROPOLIS = 7
TRAINING_ORDER = 8
TRAINING_CHAINS = 9
STUDY_SPLIT = 10
ISING_EXACT = 11
RBM_EXACT = 12
STATISTICS_BOOTSTRAP = 13
ISING_WOLFF = 14
ISING_SWENDSEN_WANG = 15
ISING_BIT_SLICED = 16
ISING_EXCHANGE = 17
RBM_UNITS = 18
RBM_EXCHANGE = 19
RBM_METROPOLIS_UNITS = 20
VAE_NOISE = 21
VAE_PARAMETERS = 22
VAE_DRAW = 24
RBM_ANNEALING_HIDDEN = 25
RBM_ANNEALING_VISIBLE = 26
