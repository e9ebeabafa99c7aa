"""Training of a VAE by mcgen and by PyTorch, and the matrix products of a step alone.

Each is a function of (model, x, batch) that builds what it needs and returns run(n_steps), which makes Adam steps from
the model's own parameters, on the same batches of the rows x in the same order. It returns the bound of each batch,
(n_steps,), which lets tests see that it is the same model. PyTorch is written as one would for speed: one layer for
both outputs of the encoder, batches gathered from one tensor and not by a DataLoader, logits in place of probabilities.
"""

import math
from collections.abc import Callable

import numba
import numpy as np

from benchmark_parts.apart import apart
from benchmark_parts.measuring import installed
from benchmark_parts.products import as_many_threads
from mcgen import optim, rng, vae
from mcgen.vae import training
from mcgen.vae.bound import Passes

Run = Callable[[int], np.ndarray]

SEED = 1
LEARNING_RATE = 1e-3


def batches(n_rows: int, batch: int) -> list[np.ndarray]:
    """The rows of each batch, as the first epoch of `vae.train` takes them."""
    order = rng.permutation(SEED, rng.purpose.TRAINING_ORDER, n_rows, step=0)
    return np.array_split(order, math.ceil(n_rows / batch))


def mcgen_steps(model: vae.VAE, x: np.ndarray, batch: int) -> Run:
    """What is measured: what `vae.train` does for a batch."""
    x, order = model.check_rows(x), batches(len(x), batch)
    vector = model.vector()
    gradient = vector.alike()
    passes = Passes(model, vector, max(map(len, order)))
    stream = (rng.purpose.VAE_NOISE, *rng.split_seed(SEED))
    zeros = np.zeros_like(model.parameters)
    start = training.State(0, model.parameters, 0, (zeros, zeros), model.parameters, 0)

    def run(n_steps: int) -> np.ndarray:
        vector.unpack(model.parameters)
        climber = training._Climber(optim.adam(), vector, gradient, start, math.inf)
        bounds = np.empty(n_steps)
        for step in range(n_steps):
            rows = order[step % len(order)]
            bounds[step] = training._look(passes, x, None, rows, stream, step, 1.0, 0.0, False)[2]
            climber.climb(passes, False, LEARNING_RATE)
        return bounds

    return run


def mcgen_epochs(model: vae.VAE, x: np.ndarray, batch: int) -> Run:
    """`vae.train` as a whole: run(n_epochs), with the mean bound of each epoch."""

    def run(n_epochs: int) -> np.ndarray:
        fit = vae.train(model, x, n_epochs, batch, LEARNING_RATE, seed=SEED)
        return fit.history["bound"]

    return run


def torch_with(fused: bool, channels_last: bool, model: vae.VAE, x: np.ndarray, batch: int) -> Run:
    """PyTorch, with torch.optim.Adam as it is by default or fused, and images in either order of the axes."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    torch.set_num_threads(numba.get_num_threads())
    order = [torch.tensor(rows, dtype=torch.int64) for rows in batches(len(x), batch)]
    images = model.convolution.shape if model.convolution else None
    layout = torch.channels_last if channels_last else torch.contiguous_format
    data = torch.tensor(x, dtype=torch.float32)
    if images:
        data = data[:, _places(images)].reshape(-1, *_torch_shape(images)).contiguous(memory_format=layout)
    views = model.parts(model.vector())

    def run(n_steps: int) -> np.ndarray:
        encoder, decoder = torch_network(model.encoder, views[0]), torch_network(model.decoder, views[1])
        networks = torch.nn.ModuleList([encoder, decoder]).to(memory_format=layout)
        optimizer = torch.optim.Adam(networks.parameters(), LEARNING_RATE, fused=fused or None)
        torch.manual_seed(SEED)
        losses = []
        for step in range(n_steps):
            rows = data[order[step % len(order)]]
            optimizer.zero_grad(set_to_none=True)
            mean, log_std = encoder(rows).chunk(2, dim=1)
            z = mean + torch.exp(log_std) * torch.randn_like(mean)
            kl = 0.5 * (mean * mean + torch.exp(2 * log_std) - 1 - 2 * log_std).sum()
            loss = (binary_cross_entropy_with_logits(decoder(z), rows.flatten(1), reduction="sum") + kl) / len(rows)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return -torch.stack(losses).numpy()

    return run


def torch_adam(model: vae.VAE, x: np.ndarray, batch: int) -> Run:
    """PyTorch with its default Adam."""
    return torch_with(False, False, model, x, batch)


def torch_fused(model: vae.VAE, x: np.ndarray, batch: int) -> Run:
    """PyTorch with fused=True: all parameters in one pass through memory."""
    return torch_with(True, False, model, x, batch)


def torch_adam_channels_last(model: vae.VAE, x: np.ndarray, batch: int) -> Run:
    """PyTorch with images in the order (row, height, width, channel)."""
    return torch_with(False, True, model, x, batch)


def torch_fused_channels_last(model: vae.VAE, x: np.ndarray, batch: int) -> Run:
    """PyTorch with both of these."""
    return torch_with(True, True, model, x, batch)


def torch_network(network: vae.Network, views: list[dict]) -> object:
    """A torch.nn.Sequential with the same layers and copies of the parameters.

    Where a convolution of stride 2 pads one side of an image, PyTorch pads the other one: with images and kernels
    turned by 180 degrees both are the same model.
    """
    import torch

    modules = []
    for k, (layer, parameters) in enumerate(zip(network.layers, views, strict=True)):
        shape = network.shapes[k]
        if isinstance(layer, vae.Activation):
            modules.append({"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[layer.name]())
            continue
        if isinstance(layer, vae.Flatten):
            modules.append(torch.nn.Flatten())
            continue
        if isinstance(layer, vae.Reshape):
            modules.append(torch.nn.Unflatten(1, _torch_shape(layer.shape)))
            continue
        weights, bias = parameters["weights"], parameters["bias"]
        if isinstance(layer, vae.Dense):
            if k and isinstance(network.layers[k - 1], vae.Flatten):
                weights = weights[_places(network.shapes[k - 1])]
            if any(isinstance(later, vae.Reshape) for later in network.layers[k + 1 : k + 3]):
                places = _places(next(shape for shape in network.shapes[k + 1 :] if len(shape) == 3))
                weights, bias = weights[:, places], bias[places]
            module, axes = torch.nn.Linear(*weights.shape), (1, 0)
        else:
            size, stride = layer.kernel_size, layer.stride
            if isinstance(layer, vae.Conv2D):
                module, axes = torch.nn.Conv2d(shape[2], layer.n_filters, size, stride, size // 2), (3, 2, 0, 1)
            else:
                how = (size, stride, size // 2, stride - 1)
                module, axes = torch.nn.ConvTranspose2d(shape[2], layer.n_filters, *how), (2, 3, 0, 1)
            weights = weights[::-1, ::-1]
        with torch.no_grad():
            module.weight.copy_(torch.tensor(np.ascontiguousarray(weights.transpose(axes))))
            module.bias.copy_(torch.tensor(np.ascontiguousarray(bias)))
        modules.append(module)
    return torch.nn.Sequential(*modules)


def _torch_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    height, width, channels = shape
    return channels, height, width


def _places(shape: tuple[int, int, int]) -> np.ndarray:
    """Where the numbers of an image in PyTorch's order, turned by 180 degrees, are in mcgen's."""
    return np.arange(math.prod(shape)).reshape(shape)[::-1, ::-1].transpose(2, 0, 1).ravel()


def products(model: vae.VAE, batch: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The factors of all matrix products of a step of a dense model, float32.

    Each layer has Y = X W, dW = X^T dY and dX = dY W^T; for the first one nobody needs dX.
    """
    random = np.random.default_rng(SEED)
    layers = [one for network in (model.encoder, model.decoder) for one in network.parameter_shapes if one]
    factors = []
    for k, (n_inputs, n_outputs) in enumerate(one["weights"] for one in layers):
        sizes = (batch, n_inputs), (n_inputs, n_outputs), (batch, n_outputs)
        x, weights, dy = (random.random(size, np.float32) for size in sizes)
        factors += [(x, weights), (x.T, dy)] + [(dy, weights.T)] * (k > 0)
    return factors


def numpy_matmul(model: vae.VAE, x: np.ndarray, batch: int) -> Callable[[int], list[np.ndarray]]:
    """The products alone, by NumPy's BLAS; run(n_steps) returns them."""
    factors = products(model, batch)
    results = [a @ b for a, b in factors]

    def run(n_steps: int) -> list[np.ndarray]:
        with as_many_threads():
            for _ in range(n_steps):
                for (a, b), result in zip(factors, results, strict=True):
                    np.matmul(a, b, out=result)
        return results

    return run


def torch_mm(model: vae.VAE, x: np.ndarray, batch: int) -> Callable[[int], list[np.ndarray]]:
    """The products alone, by PyTorch's."""
    import torch

    torch.set_num_threads(numba.get_num_threads())
    factors = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in products(model, batch)]
    results = [torch.mm(a, b) for a, b in factors]

    def run(n_steps: int) -> list[np.ndarray]:
        for _ in range(n_steps):
            for (a, b), result in zip(factors, results, strict=True):
                torch.mm(a, b, out=result)
        return [result.numpy() for result in results]

    return run


def peers() -> dict[str, tuple[Callable[..., Run], ...]]:
    """The peers that are installed, by their names, each in a process of its own."""
    if not installed("torch"):
        return {}
    return {
        "torch": (apart(torch_adam, "torch"), apart(torch_adam_channels_last, "torch")),
        "torch fused": (apart(torch_fused, "torch"), apart(torch_fused_channels_last, "torch")),
    }


def floors() -> tuple[Callable[..., Callable[[int], list[np.ndarray]]], ...]:
    """The ways to compute the products, of which the quickest counts."""
    return (numpy_matmul, apart(torch_mm, "torch")) if installed("torch") else (numpy_matmul,)
