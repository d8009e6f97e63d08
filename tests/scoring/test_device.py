import pytest

from napari_smse.errors import DeviceError
from napari_smse.scoring import choose_device, list_devices


def test_auto_is_the_first_and_the_cpu_is_always_there():
    devices = list_devices()
    assert choose_device("auto") == devices[0]
    cpu = choose_device("cpu")
    assert cpu.label.startswith("CPU, ")
    assert cpu.precision in ("float32", "bfloat16")
    assert cpu.batch_size == 16


@pytest.mark.parametrize("wanted", ["cuda:99", "tpu", ""])
def test_a_device_that_is_not_there_is_an_error_not_the_cpu(wanted):
    with pytest.raises(DeviceError, match=r"choose auto or one of.*cpu"):
        choose_device(wanted)
