"""The schema: what each group holds."""

from mcgen.rbm.units.kinds import KINDS
from mcgen.results.schema.words import ABOVE_0, Array, Attribute, Layout

REAL_UNITS = ("gaussian", "relu")
AUTOENCODERS = ("autoencoder", "vae", "conditional-vae")

ROOT = (
    Attribute("schema_version", "integer", "version of this schema", low=1),
    Attribute("mcgen_version", "text", "version of mcgen that wrote the file"),
    Attribute("created", "text", "when, UTC, ISO 8601"),
    Attribute("command_line", "text", "the command"),
    Attribute("configuration", "json", "all settings of the run"),
    Attribute("generator", "text", "generator of random numbers"),
    Attribute("threads", "integer", "threads of the kernels", low=1),
    Attribute("library_versions", "json", "versions of the libraries"),
    Attribute("python_version", "text", "version of Python"),
    Attribute("status", "text", "whether the run came to its end", ("running", "interrupted", "complete")),
    Attribute("seed", "integer", "seed of the run", low=0, optional=True),
    Attribute("device", "text", "cpu or cuda", optional=True),
    Attribute("git_commit", "text", "commit of the folder the run was started in", optional=True),
)

_SEED = Array("seed", "uint64", (), "of the chains", low=0)
_SERIES = ("chain", "draw")
_SAMPLER = (
    Attribute("method", "text", "sampler"),
    Attribute("thin", "integer", "sweeps between draws", low=1),
    Attribute("burn_in", "integer", "sweeps before the first draw", low=0),
    Attribute("device", "text", "cpu or cuda"),
)
_TRAVELS = (
    Array("round_trips", "int64", (), "configurations that went through the ladder and back", low=0),
    Array("n_sweeps", "int64", (), "sweeps in which they could", low=0),
)
_SWAP_RATES = Array(
    "swap_rates", "float64", ("pair",), "fraction of swaps made, place k with k + 1", nan=True, low=0, high=1
)
_N_EPOCHS = (
    Array("n_epochs", "int64", (), "epochs of each training; NaN fills up shorter ones", low=0, at_most="epoch"),
    Array("interrupted", "int8", (), "1 if Ctrl-C ended it early", low=0, high=1),
)
_SETTINGS = Attribute("settings", "json list", "all arguments of each training")


def _units(layer: str) -> tuple[tuple[Attribute, ...], tuple[Array, ...]]:
    """What says which units a layer of an RBM has."""
    kind = f"{layer}_units"
    attributes = (
        Attribute(kind, "text", "kind of units", tuple(KINDS)),
        Attribute(f"{layer}_states", "integer", "states of a Potts unit", low=2, size=True, when=(kind, ("potts",))),
    )
    real = {"when": (kind, REAL_UNITS), "since": 3}
    arrays = (
        Array(f"{layer}_unit_mean", "float64", (layer,), "mean of a unit in no field", **real),
        Array(f"{layer}_unit_variance", "float64", (layer,), "variance of a unit in no field", low=ABOVE_0, **real),
    )
    return attributes, arrays


def _parameters(before: tuple[str, ...], words: str) -> tuple[Array, ...]:
    return (
        Array("weights", "float", (*before, "visible", "hidden"), f"W of E(v, h) = -b.v - c.h - v.W.h{words}"),
        Array("visible_bias", "float", (*before, "visible"), "b"),
        Array("hidden_bias", "float", (*before, "hidden"), "c"),
    )


def _image(name: str, form: str, words: str, **more: object) -> Attribute:
    size = form.startswith("integer")
    low = 1 if size else -float("inf")
    return Attribute(f"convolution_{name}", form, words, low=low, size=size, when=("convolution_shape", ()), **more)


GROUPS = (
    Layout(
        "lattice",
        (),
        "lattice",
        "the Ising model, H = -sum J s s' - sum B s",
        (
            Attribute("shape", "integers", "sites along each axis", low=1),
            Attribute("periodic", "integers", "1 for axes that close on themselves", low=0),
        ),
        (
            Array(
                "coupling", "float64", ("direction", "site_*"), "J of the bond to the next site along an axis, energy"
            ),
            Array("field", "float64", ("site_*",), "B, energy"),
        ),
        stacked=False,
    ),
    Layout(
        "samples",
        ("ising",),
        "samples",
        "configurations of the Ising model",
        (*_SAMPLER, Attribute("kernel", "text", "how the sampler was carried out", since=2)),
        (
            Array("states", "int8", (*_SERIES, "site_*"), "spins -1 and 1", alphabet="spin", optional=True),
            Array("energy", "float64", _SERIES, "of the lattice, energy"),
            Array("magnetization", "int64", _SERIES, "sum of the spins", since=2),
            Array("flip_rate", "float64", (), "flips per site and sweep", nan=True, low=0),
            Array("temperature", "float64", (), "k T, energy", low=ABOVE_0),
            _SEED,
        ),
        needs=("lattice",),
    ),
    Layout(
        "samples",
        ("rbm",),
        "samples",
        "states of the visible units of an RBM",
        (*_SAMPLER, Attribute("kernel", "text", "how the sampler was carried out", since=3)),
        (
            Array("states", "state", (*_SERIES, "visible"), "int8, or float for real units", alphabet="visible_units"),
            Array("free_energy", "float64", _SERIES, "-log sum_h exp(-E(v, h))"),
            Array("magnetization", "float64", _SERIES, "sum of the units", since=3),
            Array("acceptance_rate", "float64", (), "fraction of proposals made", nan=True, low=0, high=1, since=3),
            Array("flip_rate", "float64", (), "fraction of proposed flips made", nan=True, low=0, high=1, until=2),
            _SEED,
        ),
        needs=("model",),
    ),
    Layout(
        "samples",
        ("vae",),
        "samples",
        "independent draws from a VAE, as one chain",
        (Attribute("method", "text", "sampler", ("ancestral",)),),
        (
            Array("states", "state", (*_SERIES, "feature"), "int8, or float for real data"),
            Array("magnetization", "float64", _SERIES, "sum of a row"),
            _SEED,
        ),
        since=3,
    ),
    Layout(
        "exchange",
        ("ising",),
        "samples",
        "how configurations moved along the ladder of temperatures",
        (),
        (
            Array("temperature", "float64", ("temperature",), "the ladder, ascending, energy", low=ABOVE_0),
            _SWAP_RATES,
            *_TRAVELS,
        ),
        needs=("samples",),
        stacked=False,
        longer_by_one=(("temperature", "pair"),),
        since=2,
    ),
    Layout(
        "exchange",
        ("rbm",),
        "samples",
        "how states moved along ladders of inverse temperatures, or of stored models",
        (),
        (
            Array(
                "beta", "float64", ("place",), "the ladder, ascending; none of stored models", nan=True, optional=True
            ),
            _SWAP_RATES,
            Array("n_pairs", "int64", (), "pairs of each ladder; NaN fills up shorter ones", low=0, at_most="pair"),
            *_TRAVELS,
        ),
        needs=("samples",),
        longer_by_one=(("place", "pair"),),
        since=3,
    ),
    Layout(
        "model",
        ("rbm",),
        "model",
        "restricted Boltzmann machine",
        (
            *_units("visible")[0],
            *_units("hidden")[0],
            Attribute(
                "symmetry_shape", "integers", "lattice of tied weights", low=1, size=True, optional=True, since=3
            ),
            *(
                Attribute(f"symmetry_{name}", "integer", words, low=low, size=bool(low), when=("symmetry_shape", ()))
                for name, words, low in (("filters", "free filters", 1), ("spin_flip", "1 with the spin flip", 0))
            ),
        ),
        (*_parameters((), ""), *_units("visible")[1], *_units("hidden")[1]),
    ),
    Layout(
        "model",
        AUTOENCODERS,
        "model",
        "autoencoder or variational autoencoder",
        (
            Attribute("dtype", "text", "of the parameters", ("float32", "float64")),
            Attribute("activation", "text", "of hidden layers"),
            Attribute("n_features", "integer", "numbers of a row of data", low=1, size=True),
            Attribute("hidden", "integers", "widths of the hidden layers", low=1, size=True),
            Attribute("n_latent", "integer", "latent variables", low=1, size=True),
            Attribute("decoder", "text", "distribution of the data", ("bernoulli", "spin", "gaussian")),
            Attribute("decoder_variance", "text", "fixed, or learned", when=("decoder", ("gaussian",))),
            Attribute("decoder_std", "number", "standard deviation at the start", when=("decoder", ("gaussian",))),
            Attribute("convolution_shape", "integers", "height, width, channels", low=1, size=True, optional=True),
            _image("filters", "integers", "of each convolution"),
            _image("kernel_size", "integer", "pixels"),
            _image("stride", "integer", "pixels"),
            _image("padding", "text", "what is outside of the image", choices=("same", "periodic")),
            Attribute(
                "n_conditions", "integer", "numbers of a condition", low=1, size=True, when=("kind", AUTOENCODERS[2:])
            ),
            Attribute("condition_offset", "numbers", "subtracted from conditions", when=("kind", AUTOENCODERS[2:])),
            Attribute("condition_scale", "numbers", "conditions are divided by it", when=("kind", AUTOENCODERS[2:])),
            Attribute("temperatures", "numbers", "that one conditional model has learned from, energy", optional=True),
        ),
        (
            Array("encoder_*", "float", None, "K_weights (input, output), K_bias: of layer K from 0", optional=True),
            Array(
                "decoder_*", "float", None, "likewise; weights of images (row, column, input, output)", optional=True
            ),
            Array("log_std", "float", None, "of a Gaussian decoder", optional=True),
        ),
        since=3,
    ),
    Layout(
        "training",
        ("rbm",),
        "model",
        "histories: each other dataset is a column over the epochs",
        (_SETTINGS,),
        (
            Array(
                "chains", "state", ("chain", "visible"), "Markov chains after the last step", alphabet="visible_units"
            ),
            *_N_EPOCHS,
            Array("*", "number", ("epoch",), "a column of the history", nan=True, infinite=True, optional=True),
        ),
        needs=("model",),
    ),
    Layout(
        "training",
        AUTOENCODERS,
        "model",
        "histories: each other dataset is a column over the epochs",
        (_SETTINGS,),
        (
            *_N_EPOCHS,
            Array("*", "number", ("epoch",), "a column of the history", nan=True, infinite=True, optional=True),
        ),
        needs=("model", "checkpoint"),
        since=3,
    ),
    Layout(
        "trajectory",
        ("rbm",),
        "model",
        "models that were kept on the way",
        (),
        (
            *_parameters(("stored",), " of each of them"),
            Array("n_stored", "int64", (), "models of each training; the last fills up", low=0, at_most="stored"),
        ),
        needs=("training",),
        since=3,
    ),
    Layout(
        "checkpoint",
        AUTOENCODERS,
        "model",
        "what a training goes on from",
        (),
        (
            Array("epoch", "int64", (), "epochs done", low=0),
            Array("n_count", "int64", (), "steps done", low=0),
            Array("best_epoch", "int64", (), "epoch of the best bound", low=0),
            Array("parameters", "float", ("parameter",), "in the order of the layers"),
            Array("best_parameters", "float", ("parameter",), "those of the best bound"),
            Array("moment_*", "float", ("parameter",), "of the optimiser", optional=True),
        ),
        needs=("training",),
        since=3,
    ),
    Layout(
        "checkpoint",
        ("dictionary", "list"),
        "checkpoint",
        "what draws, or trainings of RBMs, go on from: a group for each list or dictionary, and datasets",
        (
            Attribute("numbers", "json", "what is neither a group nor a dataset"),
            Attribute("arrays", "json", "the datasets; true for a list of arrays, stacked"),
        ),
        (),
        since=3,
        is_tree=True,
    ),
    *(
        Layout(
            name, (), name, words, (), (Array("*", "number", (), "a quantity", nan=True, infinite=True, optional=True),)
        )
        for name, words in (
            ("exact", "exact quantities, extensive"),
            ("observables", "averages, and NAME_error beside them"),
        )
    ),
)

# A group with any name that is none of those, whose attribute `kind` says so.
TABLE = Layout(
    "*",
    ("table",),
    "*",
    "a table of a study, under a name of its own; further attributes are its settings and single numbers",
    (Attribute("words", "text", "what it holds", optional=True),),
    (Array("*", "number", None, "a quantity, and NAME_error beside it", nan=True, infinite=True, optional=True),),
    stacked=False,
    since=3,
)
