"""record and cut beside a running gateway, and after it was killed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli import main
from gateway.events import Message
from gateway.recording.parts import Part
from gateway.recording.reader import Recording
from tests.e2e.centre import Peer
from tests.servers.gateway import Gateway, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from tests.servers.mosquitto import Mosquitto

CONFIG = """
gateway: lg-17
brokers: {{here: {{url: "{broker}"}}}}
sensors: {{tank: {{mqtt: here, topic: "tank/{{name}}", plain: level}}}}
rules: {{full: {{threshold: tank.level, levels: {{red: 9}}}}}}
outbox: {{linger: 10 ms}}
"""


def _bodies(path: Path) -> list[bytes]:
    cuts = [piece.cut for piece in Recording.open([path]).pieces() if isinstance(piece, Part)]
    return [one.body for cut in cuts for one in cut.inputs if isinstance(one, Message)]


def test_a_running_gateway_writes_what_it_still_holds_before_a_span_is_exported_and_an_alert_is_cut(
    own_mosquitto: Mosquitto,
    gateway_of: Callable[[str], Gateway],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Given a gateway that has just raised an alert, when its recording is asked for, then that is in it at once; and
    when it was killed, what had been written still is.
    """  # noqa: D205 - one thought
    gateway = gateway_of(CONFIG.format(broker=own_mosquitto.url))
    gateway.start()
    with Peer(own_mosquitto, "tanks") as tanks:
        tanks.say("tank/a", "9.5")
        [alert] = until(gateway.open_alerts, 20, "the alert")

        assert main(["record", str(gateway.config), "-o", str(tmp_path / "now.mcap"), "--last", "1min"]) == 0
        assert _bodies(tmp_path / "now.mcap") == [b"9.5"]
        tanks.say("tank/a", "1")
        until(lambda: gateway.open_alerts()[0]["state"] == "cleared_unacknowledged", 20, "its end")

    assert main(["cut", str(alert["code"]), "-o", str(tmp_path / "one.mcap"), "--config", str(gateway.config)]) == 0
    assert _bodies(tmp_path / "one.mcap") == [b"9.5", b"1"]
    assert main(["replay", str(tmp_path / "one.mcap"), "--expect", str(tmp_path / "one.alerts.jsonl")]) == 0
    gateway.kill()
    capsys.readouterr()
    assert main(["record", str(gateway.config), "-o", str(tmp_path / "after.mcap")]) == 0
    assert _bodies(tmp_path / "after.mcap") == [b"9.5", b"1"]
    assert main(["replay", str(tmp_path / "after.mcap")]) == 0
    assert "the alerts are those that were recorded" in capsys.readouterr().out
