"""The CUDA twins on a GPU, where there is one."""

import pytest
from twins.running import gpu_is_there
from twins.twin_checks import CHECKS


@pytest.mark.gpu
@pytest.mark.skipif(not gpu_is_there(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("name", CHECKS)
def test_cuda_twin_agrees_with_cpu_twin(name):
    CHECKS[name]()
