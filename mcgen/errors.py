"""Every error and warning that a user of mcgen can meet.

Each message names the value that was given, the limit it broke and the way out.
"""

__all__ = [
    "DeviceError",
    "DivergenceError",
    "FileError",
    "InputError",
    "McgenError",
    "SizeError",
    "StatisticsWarning",
]


class McgenError(Exception):
    """Base class of all errors raised by mcgen on purpose."""


class InputError(McgenError, ValueError):
    """An argument or data set is outside what the function accepts."""


class SizeError(InputError):
    """An exact enumeration was asked for that is too large to carry out."""


class DivergenceError(InputError):
    """A training diverged.

    Attributes
    ----------
    last_good : object
        What the training would have returned after the last epoch before, or None if there was none.
    """

    def __init__(self, message: str, last_good: object = None):
        super().__init__(message)
        self.last_good = last_good


class DeviceError(McgenError, RuntimeError):
    """The device asked for cannot be used on this machine."""


class FileError(McgenError, OSError):
    """A file cannot be read or written, or is not one of mcgen's."""


class StatisticsWarning(UserWarning):
    """An error bar was computed from too few draws to be trusted."""
