"""What each worker of ours does as it starts. Imported only where Dask is."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

from distributed import WorkerPlugin

if TYPE_CHECKING:
    from distributed import Worker


class OnStart(WorkerPlugin):
    """Leaves Ctrl-C to the parent, and what is wrong with a recording to the result.

    Ctrl-C goes to all of a terminal's processes: who started the workers ends them, when what is done is kept.
    """

    name = "zhiwang-on-start"

    def setup(self, worker: Worker) -> None:
        """In the worker's main thread, as it starts."""
        del worker
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        logging.getLogger("gateway").setLevel(logging.CRITICAL)
