"""From the name of a device to the module of its target. Nothing ever falls back from one device to another."""

import importlib
from types import ModuleType

from mcgen import checks, memory
from mcgen.errors import DeviceError

DEVICES = ("cpu", "cuda")


def target(device: str) -> ModuleType:
    """The target module of a device, checked to be usable.

    Both targets define `kernels(room)`, `to_device(array)`, `to_host(array)`, `launch(kernel, n_items, width, *args)`
    and `describe()`.

    Parameters
    ----------
    device : {"cpu", "cuda"}

    Raises
    ------
    InputError
        If the name is not one of the two.
    DeviceError
        If device is "cuda" and no GPU can be used; the message says what to install.

    Examples
    --------
    >>> from mcgen import backend
    >>> backend.target("cpu").__name__
    'mcgen._cpu'
    """
    checks.choice("device", device, DEVICES)
    try:
        module = importlib.import_module(f"mcgen._{device}")
    except ImportError as error:
        raise DeviceError(
            f"device={device!r}: its packages cannot be imported ({error}); "
            "pip install 'mcgen[cuda]', or use device='cpu'"
        ) from error
    module.require()
    memory.keep_freed()
    return module
