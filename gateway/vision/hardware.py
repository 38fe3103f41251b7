"""Decoding in hardware, where PyAV was built for it and the device works; else the CPU decodes, and the log says why.

PyAV itself falls back for a codec that the device does not know. What it gives is in the system's memory (NV12), so
nothing that follows knows of it.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import TYPE_CHECKING

import av
import av.error
from av.codec.hwaccel import HWAccel, hwdevices_available

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOG = logging.getLogger(__name__)
DEVICES = {"vaapi": "/dev/dri/renderD128", "qsv": "/dev/dri/renderD128", "cuda": "/dev/nvidia0"}
"""What may decode, in the order in which it is tried, and the device that it needs."""


def accelerated() -> HWAccel | None:
    """For one stream to be opened with; None: the CPU decodes."""
    kind = _chosen()
    return HWAccel(kind) if kind else None


@functools.cache
def _chosen() -> str | None:
    return choose()


def choose(
    devices: Mapping[str, str] = DEVICES,
    there: Callable[[str], bool] = os.path.exists,
    works: Callable[[str], None] | None = None,
) -> str | None:
    """What decodes on this machine, None: the CPU. Says in the log which, and of each that cannot, why.

    `works` raises av.error.FFmpegError, ValueError or NotImplementedError where a kind does not.
    """
    built = hwdevices_available()
    for kind, device in devices.items():
        if kind not in built or not there(device):
            continue
        try:
            (works or _try)(kind)
        except (av.error.FFmpegError, ValueError, NotImplementedError) as error:
            LOG.warning("cameras are not decoded by %s although %s is there: %s", kind, device, error)
        else:
            LOG.info("cameras are decoded by %s, where it knows their codec", kind)
            return kind
    LOG.info("cameras are decoded by the CPU")
    return None


def _try(kind: str) -> None:
    """Make the device decode H.264, as far as that can be known without a stream."""
    HWAccel(kind, allow_software_fallback=False).create(av.Codec("h264", "r"))
