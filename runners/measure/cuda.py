"""NVIDIA's devices: which there are, and what they say of themselves.

They are counted by the driver, which heeds CUDA_VISIBLE_DEVICES as every runtime does. What they say comes
from NVML, which does not heed it: the two agree on a device's PCI bus id. Sources: <cuda.h>, <nvml.h>.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

Reading: TypeAlias = str | float | list[str]

ENVIRONMENT = {"NVIDIA_TF32_OVERRIDE": "0"}
"""Of every worker: some runtimes let NVIDIA's libraries round float32 to 10 bits of mantissa, others do not."""

_BUS_ID_BYTES = 16
_THROTTLE_REASONS = {  # nvmlClocksEventReason...
    0x1: "idle",
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
    0x100: "display clocks",
}


class _DriverError(Exception):
    """Why there is no CUDA device here, and what to do about it."""


def state(device: str) -> dict[str, Reading]:
    """What can be read of the device, units in the names; `unread` says why nothing could.

    It makes no CUDA context and takes no memory of the device, but it initialises the driver: called before a trial, it
    leaves that out of every runtime's load alike.

    Args:
        device: "cuda:0", ...
    """
    try:
        import pynvml as nvml
    except ImportError:
        return {"unread": "install nvidia-ml-py beside the runtime"}
    try:
        bus_id = _bus_id(device)
        nvml.nvmlInit()
        try:
            return _read(nvml, nvml.nvmlDeviceGetHandleByPciBusId(bus_id))
        finally:
            nvml.nvmlShutdown()
    except (_DriverError, nvml.NVMLError) as error:
        return {"unread": str(error)}


def devices() -> list[str]:
    """Those that the driver shows to this process, in the words of a case."""
    try:
        return [f"cuda:{number}" for number in range(_count(_driver()))]
    except _DriverError:
        return []


def remedy(device: str) -> str:
    """What to do when a runtime does not have this device."""
    try:
        count = _count(_driver())
    except _DriverError as error:
        return str(error)
    if device in devices():
        return "the driver shows it, this runtime does not: install the runtime's build for CUDA, and CUDA's libraries"
    return f"the driver shows {count} CUDA devices: name another, or look at CUDA_VISIBLE_DEVICES"


def _driver() -> ctypes.CDLL:
    """libcuda, initialised."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise _DriverError(
            "there is no NVIDIA driver here: install it, and for containers the NVIDIA container toolkit"
        ) from None
    if status := driver.cuInit(0):
        raise _DriverError(f"the NVIDIA driver finds no usable device (cuInit: error {status}): look at nvidia-smi")
    return driver


def _count(driver: ctypes.CDLL) -> int:
    count = ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    return count.value


def _bus_id(device: str) -> str:
    """PCI bus id ("0000:65:00.0") of a device; how the driver numbers them is its own business."""
    driver, handle, bus_id = _driver(), ctypes.c_int(), ctypes.create_string_buffer(_BUS_ID_BYTES)
    number = int(device.partition(":")[2])
    if driver.cuDeviceGet(ctypes.byref(handle), number) or driver.cuDeviceGetPCIBusId(bus_id, _BUS_ID_BYTES, handle):
        raise _DriverError(remedy(device))
    return bus_id.value.decode()


def _read(nvml: Any, handle: object) -> dict[str, Reading]:
    """What this device does not tell is absent. Version 2 of its memory leaves out what the driver keeps for itself."""
    sources: dict[str, Callable[[], Reading]] = {
        "name": lambda: str(nvml.nvmlDeviceGetName(handle)),
        "driver_version": lambda: str(nvml.nvmlSystemGetDriverVersion()),
        "sm_clock_mhz": lambda: float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
        "memory_clock_mhz": lambda: float(nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
        "temperature_celsius": lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        "power_watts": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        "performance_state": lambda: f"P{nvml.nvmlDeviceGetPerformanceState(handle)}",
        "throttle_reasons": lambda: _reasons(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)),
        "memory_used_bytes": lambda: float(nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2).used),
    }
    readings: dict[str, Reading] = {}
    for name, source in sources.items():
        with suppress(nvml.NVMLError):
            readings[name] = source()
    return readings


def _reasons(bits: int) -> list[str]:
    found = [word for bit, word in _THROTTLE_REASONS.items() if bits & bit]
    unknown = bits & ~sum(_THROTTLE_REASONS)
    return [*found, f"{unknown:#x}"] if unknown else found
