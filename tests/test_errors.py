from __future__ import annotations

import errno

import pytest

from napari_smse.errors import (
    DamagedSlideError,
    DeviceError,
    InternalError,
    MemoryLimitError,
    SmseError,
    is_out_of_memory,
    named_error,
)

NO_MEMORY = [
    MemoryError(),
    MemoryError("Unable to allocate 2. GiB for an array"),
    OSError(errno.ENOMEM, "Cannot allocate memory", "slide.tif"),
    OSError("libgomp.so.1: failed to map segment from shared object"),
    ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("can't start new thread"),
    RuntimeError("std::bad_alloc"),
    SystemError("error return without exception set"),
]
OTHER = [
    ValueError("allocate memory"),
    FileNotFoundError(errno.ENOENT, "No such file", "/out of memory/bad_alloc.tif"),
    ImportError("No module named 'onnx'"),
    RuntimeError("shapes differ"),
    DamagedSlideError("slide.tif is cut short"),
    DeviceError("the GPU is out of memory: choose the device cpu"),
]


def caused_by(reason: BaseException) -> SmseError:
    try:
        raise DamagedSlideError("slide.tif cannot be decoded; copy it again") from reason
    except SmseError as error:
        return error


@pytest.mark.parametrize("error", NO_MEMORY, ids=str)
def test_that_memory_ran_out_is_known_whoever_says_so(error: Exception) -> None:
    assert is_out_of_memory(error)
    for found in (error, caused_by(error)):
        named = named_error(found, "slide.tif")
        assert type(named) is MemoryLimitError
        assert str(named).startswith("slide.tif needs more memory than there is: ")


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_other_errors_are_no_lack_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)
    assert not isinstance(named_error(error, "slide.tif"), MemoryLimitError)


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert not is_out_of_memory(first)
    assert isinstance(named_error(first, "slide.tif"), InternalError)
