"""Where the demo plays: which configuration it runs, and what it says over it (ports, video, state) as an overlay."""

from __future__ import annotations

import socket
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import gateway
from gateway.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Iterable

PORTS = range(8080, 8100)


def configuration() -> Path:
    """The shipped configs/demo.yaml: in the installed wheel, or the repository's in an editable install."""
    package = Path(str(resources.files(gateway)))
    shared = package / "_share" / "configs" / "demo.yaml"
    return shared if shared.is_file() else package.parent / "configs" / "demo.yaml"


class Stage(msgspec.Struct, frozen=True):
    """What only this run of the demo knows. `loop`: whether the video starts over."""

    broker_port: int
    page_port: int
    video: Path
    state: Path
    loop: bool

    def overlay(self, path: Path) -> Path:
        """Write it to `path` as a configuration to be laid over the shipped one (JSON is YAML); gives `path`."""
        over = {
            "brokers": {"here": {"url": f"mqtt://127.0.0.1:{self.broker_port}"}},
            "cameras": {"street": {"detect": str(self.video), "loop": self.loop}},
            "state": str(self.state),
            "http": {"listen": f"127.0.0.1:{self.page_port}"},
        }
        path.write_bytes(msgspec.json.format(msgspec.json.encode(over), indent=2))
        return path


def free_port(among: Iterable[int] = PORTS) -> int:
    """The first port of `among` that nobody listens on. Raises GatewayError when all are taken."""
    tried: list[int] = []
    for port in among:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server itself does
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                tried.append(port)
            else:
                return int(probe.getsockname()[1])
    which = f"port {tried[0]}" if len(tried) == 1 else f"ports {tried[0]} to {tried[-1]}"
    raise GatewayError(f"found {which} taken; give a free one: zhiwang demo --port 9000")


def written_for_user(video: Path) -> str:
    """The text of the shipped configuration as a file of the user's own: its camera's video lies at `video`."""
    shipped = configuration().read_text(encoding="utf-8")
    return shipped.replace("detect: bikes.mp4", f"detect: {msgspec.json.encode(str(video)).decode()}")
