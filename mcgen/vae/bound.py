"""From a batch of rows through encoder, draw and decoder to a bound on log p(x), and back to its gradient.

`objective.py` has the equations and kernels; here is their order, and the working memory that they share from step to
step. After the first batch nothing is allocated.
"""

from collections.abc import Callable

import numpy as np

from mcgen.vae import objective, panels
from mcgen.vae.autoencoding import Autoencoding
from mcgen.vae.network import Vector
from mcgen.vae.objective import FEATURES_AT_ONCE


class Passes:
    """Forward and backward passes of a model for batches of up to n_rows rows, with n_draws draws of z for each row.

    Parameters
    ----------
    net : Autoencoding
        Its architecture; the parameters are those of `vector`.
    vector : Vector
        The parameters that are used, which may change from step to step.
    n_rows, n_draws : int
        Memory grows as their product.
    """

    def __init__(self, net: Autoencoding, vector: Vector, n_rows: int, n_draws: int = 1):
        self.net, self.most_rows, self.n_draws = net, n_rows, n_draws
        self.parameters = net.parts(vector)
        dtype = self.dtype = vector.dtype
        self._encoding = net.encoder.memories(dtype, n_rows)
        self._decoding = net.decoder.memories(dtype, n_rows, n_draws)
        n_inputs, n_outputs = int(np.prod(net.encoder.shapes[0])), net.encoder.output_shape[0]
        # Without conditions the encoder's inputs are the data: its first layer does not write over them.
        self._inputs = "inputs" if net.n_conditions else "data"
        self._arrays = {
            "inputs": panels.empty(n_rows if net.n_conditions else 1, n_inputs, dtype),
            "data": panels.empty(n_rows, net.n_features, dtype),
            "condition": panels.empty(n_rows, max(1, net.n_conditions), dtype),
            "z": panels.empty(n_rows, net.n_latent + net.n_conditions, dtype, n_draws),
            "noise": panels.empty(n_rows, net.n_latent, dtype, n_draws),
            "d_head": panels.empty(n_rows, n_outputs, dtype),
        }
        n_panels, wide = self._arrays["z"].shape[0], panels.width(dtype)
        n_pieces = -(-net.n_features // FEATURES_AT_ONCE)
        self._arrays |= {
            "parts": np.zeros((n_panels, n_pieces, wide)),
            "weights": np.zeros((n_panels, wide)),
            "log_w": np.zeros((n_panels, wide)),
        }
        self._rows_kl = np.zeros(n_rows)
        self._bounds = np.zeros(n_rows)
        self.latent_kl = np.zeros(net.n_latent)
        self.kl_weights = np.zeros(net.n_latent)
        self.n_rows = n_rows

    def _array(self, name: str, copies: int = 1) -> np.ndarray:
        return self._arrays[name][: copies * panels.n_panels(self.n_rows, self.dtype)]

    def load(self, x: np.ndarray, condition: np.ndarray | None, order: np.ndarray) -> None:
        """Take the rows x[order], checked by the model, as the batch."""
        self.n_rows = len(order)
        for memory in (*self._encoding, *self._decoding):
            memory.hold(self.n_rows)
        net = self.net
        panels.fill(self._array("data"), 0, x, order)
        if condition is None:
            return
        inputs, conditions = self._array("inputs"), self._array("condition")
        panels.fill(conditions, 0, condition, order)
        panels.repeat(self._arrays_of_z()[:, net.n_latent :], conditions, net.n_conditions)
        n_pixels = net.n_features // net.n_channels
        panels.join_channels(inputs, self._array("data"), net.n_channels, conditions, net.n_conditions, n_pixels)

    def _arrays_of_z(self) -> np.ndarray:
        return self._array("z", self.n_draws)

    def encode(self) -> np.ndarray:
        """The encoder's outputs: means and log standard deviations, or codes."""
        self.head = self.net.encoder.forward(self._array(self._inputs), self.parameters[0], self._encoding)
        return self.head

    def draw(self, stream: tuple[int, int, int], step: int) -> None:
        """Draw n_draws latent vectors for each row; `stream` is a purpose and the two words of a key."""
        z, noise = self._arrays_of_z(), self._array("noise", self.n_draws)
        purpose, *key = stream
        objective.draw_latents(
            z, noise, self.head, self.net.n_latent, self.n_rows, self.n_draws, np.uint32(step), np.uint32(purpose), *key
        )

    def use_code(self) -> None:
        """The code itself as latent vector, as an Autoencoder has it."""
        panels.repeat(self._arrays_of_z(), self.head, self.net.n_latent)

    def decode(self, scale: float) -> None:
        """log p(x | z) of all draws, and scale times its gradient by the decoder's outputs."""
        outputs = self.net.decoder.forward(self._arrays_of_z(), self.parameters[1], self._decoding)
        self.net.decoder_kind.likelihood(
            self._array("parts", self.n_draws), outputs, self._array("data"), self.net.n_features, self.parameters[2],
            scale,
        )  # fmt: skip
        self.forces = outputs

    def reconstruction(self) -> np.ndarray:
        """log p(x | z) of each row (n_rows,), the mean over its draws."""
        sums = self._array("parts", self.n_draws).sum(axis=1).reshape(self.n_draws, -1)[:, : self.n_rows]
        return sums.mean(axis=0)

    def latent_means(self) -> np.ndarray:
        """Means of q(z | x) of each row, or codes, (n_rows, n_latent)."""
        return panels.to_rows(self.head, self.n_rows, self.net.n_latent)

    def row_kl(self) -> np.ndarray:
        """KL(q(z | x) || p(z)) of each row (n_rows,)."""
        kl = self._rows_kl[: self.n_rows]
        objective.row_kl(kl, self.head, self.net.n_latent)
        return kl

    def sum_latent_kl(self) -> np.ndarray:
        """The same summed over the rows, of each latent (n_latent,)."""
        objective.latent_kl(self.latent_kl, self.head, self.net.n_latent, self.n_rows)
        return self.latent_kl

    def log_importance(self) -> np.ndarray:
        """log w of all draws, (n_draws, n_rows)."""
        log_w = self._array("log_w", self.n_draws)
        objective.log_importance(
            log_w, self._array("parts", self.n_draws), self._arrays_of_z(), self._array("noise", self.n_draws),
            self.head, self.net.n_latent, self.n_rows, self.n_draws,
        )  # fmt: skip
        return log_w.reshape(self.n_draws, -1)[:, : self.n_rows]

    def importance_bounds(self) -> np.ndarray:
        """log 1/k sum_d w_d of each row (n_rows,); the forces get the weights of their draws."""
        self.log_importance()
        bounds, weights = self._bounds[: self.n_rows], self._array("weights", self.n_draws)
        objective.importance_weights(weights, bounds, self._array("log_w", self.n_draws), self.n_rows, self.n_draws)
        objective.weigh(self.forces, weights, self.net.n_features)
        return bounds

    def backward(self, gradient: Vector, importance: bool, after: Callable[[int], None] = lambda layer: None) -> None:
        """The gradient of the bound by all parameters, into `gradient`.

        For the ELBO `kl_weights` say what each latent's KL divergence counts. `after` is called with the number of each
        layer, counted through encoder, decoder and kind of decoder, when its gradient is complete and its parameters
        are not needed any more.
        """
        net, rows = self.net, (self.n_rows, self.n_draws)
        encoder, decoder, kind = net.parts(gradient)
        weights = self._array("weights", self.n_draws)
        if not importance:
            weights[:] = 1 / (self.n_rows * self.n_draws)
        net.decoder_kind.gradient(kind, self.parameters[2], self.forces, weights, net.n_features, *rows)
        first = len(net.encoder.layers)
        after(first + len(net.decoder.layers))
        dz = net.decoder.backward(
            self.forces, self.parameters[1], decoder, self._decoding, True, lambda k: after(first + k)
        )
        d_head = self._array("d_head")
        if not net.is_variational:
            panels.repeat(d_head, dz, net.n_latent)
        else:
            objective.backward_latents(
                d_head, dz, self._arrays_of_z(), self._array("noise", self.n_draws), self.head, self.kl_weights,
                weights, net.n_latent, *rows, importance,
            )  # fmt: skip
        net.encoder.backward(d_head, self.parameters[0], encoder, self._encoding, after=after)
