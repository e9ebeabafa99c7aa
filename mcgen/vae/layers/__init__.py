"""Layers, each with its forward pass beside its backward pass."""

from mcgen.vae.layers.activation import Activation
from mcgen.vae.layers.base import Layer, Memory
from mcgen.vae.layers.convolution import Conv2D, ConvTranspose2D
from mcgen.vae.layers.dense import Dense
from mcgen.vae.layers.shaping import Flatten, Reshape

__all__ = ["Activation", "Conv2D", "ConvTranspose2D", "Dense", "Flatten", "Layer", "Memory", "Reshape"]
