"""Optimizations for CPUs: channels-last memory format, and bfloat16."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from service.core.errors import InvalidSettings

MULTIPLIES_BFLOAT16 = ("avx512_bf16", "amx_bf16")
_CAST = ("sample", "encoder_hidden_states", "timestep_cond")


def wants_bfloat16(precision: str, device: str) -> bool:
    """Tells whether the denoiser runs in bfloat16 on the CPU.

    Args:
        precision: ``auto``, ``float32`` or ``bfloat16``; see ``service.runtime.settings.Settings.precision``.
        device: the device, already resolved, not ``auto``. Accelerators always use half precision.

    Raises:
        InvalidSettings: a precision other than ``auto`` on an accelerator.
    """
    if device != "cpu":
        if precision != "auto":
            raise InvalidSettings(
                f"ANATOMEND_PRECISION: {precision!r} is for the CPU; the device is {device}"
            )
        return False
    if precision == "auto":
        return multiplies_bfloat16()
    return precision == "bfloat16"


def multiplies_bfloat16() -> bool:
    """Tells whether this processor multiplies bfloat16; on others it is slower than float32."""
    features = torch.cpu.get_capabilities()
    return any(features.get(name, False) for name in MULTIPLIES_BFLOAT16)


def channels_last(*modules: nn.Module | None) -> None:
    """Converts modules to the channels-last memory format, for which the CPU's kernels are faster."""
    for module in modules:
        if module is not None:
            module.to(memory_format=torch.channels_last)


def in_bfloat16(unet: nn.Module) -> None:
    """Converts a UNet to bfloat16; its inputs and outputs stay float32.

    Time steps are not converted: bfloat16 cannot distinguish 999 from 1000.
    """
    unet.to(torch.bfloat16)
    unet.register_forward_pre_hook(_to_bfloat16, with_kwargs=True)
    unet.register_forward_hook(_to_float32)


def _to_bfloat16(
    _unet: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    # Positional arguments of a UNet: the sample, the time step and the text.
    given = tuple(arg if place == 1 else _cast(arg, torch.bfloat16) for place, arg in enumerate(args))
    named = {name: _cast(v, torch.bfloat16) if name in _CAST else v for name, v in kwargs.items()}
    return given, named


def _to_float32(_unet: nn.Module, _args: object, output: Any) -> Any:
    if isinstance(output, tuple):
        return tuple(_cast(one, torch.float32) for one in output)
    output.sample = _cast(output.sample, torch.float32)
    return output


def _cast(value: Any, dtype: torch.dtype) -> Any:
    is_floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.to(dtype) if is_floating else value
