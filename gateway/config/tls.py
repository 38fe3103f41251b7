"""TLS to a broker, with the certificates its configuration names."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.config.model import Broker


def context_of(broker: Broker, base: Path) -> ssl.SSLContext:
    """Whom to trust and who we are; `base`: the folder that files start from.

    Files are read anew each time, so that a changed one is found. Raises OSError with the name of the one that cannot
    be used.
    """
    for name in (broker.ca, broker.certificate, broker.key):
        if name is not None:
            with (base / name).open("rb"):  # ssl does not say which file it is that it cannot read
                pass
    try:
        context = ssl.create_default_context(cafile=str(base / broker.ca) if broker.ca else None)
    except ssl.SSLError as error:
        raise OSError(errno.EINVAL, "no certificates are in it", str(base / str(broker.ca))) from error
    if broker.certificate is not None:
        key = base / broker.key if broker.key else None
        try:
            context.load_cert_chain(base / broker.certificate, key, password="")
        except ssl.SSLError as error:
            why = f"it is no certificate, or {key} is not its key without a passphrase ({error.reason or error})"
            raise OSError(errno.EINVAL, why, str(base / broker.certificate)) from error
    return context
