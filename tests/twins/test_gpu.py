"""The CUDA twins on a GPU, where there is one."""

import pytest
from twins.twin_checks import CHECKS

from mcgen import backend
from mcgen.errors import DeviceError


def gpu_is_there():
    try:
        backend.target("cuda")
    except DeviceError:
        return False
    return True


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_is_there(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("name", CHECKS)
def test_cuda_twin_agrees_with_cpu_twin(name):
    CHECKS[name]()
