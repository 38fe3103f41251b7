"""`gateway.replay`: recordings as Arrow tables, from scripts and notebooks."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pytest

import gateway
from gateway.backtest.arrow import Tables, schemas
from gateway.errors import GatewayError, RecordingError
from gateway.events import Stepped
from gateway.recording.reader import Recording
from gateway.replaying.outcome import Memory
from gateway.replaying.play import play
from tests.backtest import streams
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pa = pytest.importorskip("pyarrow")


@pytest.fixture
def crest(tmp_path: Path) -> Path:
    """A recording of one flood that rises from yellow to red, and falls."""
    return streams.crests(tmp_path / "crest.mcap", 0, [4.0])


def test_the_tables_are_what_a_replay_gives(crest: Path) -> None:
    """Given a flood, each change is a row in order, with what its JSON says; each stored value is a row too."""
    memory = Memory()
    play(Recording.open([crest]), memory)
    bodies = [json.loads(line) for line in memory.alerts]
    alerts, series = gateway.replay(crest)
    assert alerts.schema.equals(schemas()[0])
    assert series.schema.equals(schemas()[1])
    assert alerts["json"].to_pylist() == [line.decode() for line in memory.alerts]
    for name in ("seq", "id", "code", "rule", "subject", "class", "change", "state", "severity", "severity_max"):
        assert alerts[name].to_pylist() == [body[name] for body in bodies]
    for name in ("value", "limit", "unit", "coverage_1h", "camera"):
        assert alerts[name].to_pylist() == [body[name] for body in bodies]
    assert alerts["text_zh"].to_pylist() == [body["text"]["zh"] for body in bodies]
    started = np.array([datetime.fromisoformat(body["started"]).timestamp() for body in bodies])
    assert (alerts["started"].to_numpy().astype("datetime64[s]").astype(np.int64) == started).all()
    levels = series.filter(pa.compute.field("series") == "water.level{site=north}")
    assert levels.num_rows == 60
    assert levels["value"].to_pylist()[:31:15] == [2.0, 2.75, 4.0]
    assert set(levels["measurement"].to_pylist()) == {"water"}
    assert set(levels["field"].to_pylist()) == {"level"}
    assert levels["tags"][0].as_py() == [("site", "north")]
    assert levels["text"].null_count == 60


def test_another_configuration_is_what_if(crest: Path, tmp_path: Path) -> None:
    alerts, _ = gateway.replay(str(crest), streams.config(tmp_path, yellow=3.7))
    assert set(alerts["limit"].to_pylist()) <= {3.7, 3.8}
    assert alerts.num_rows < gateway.replay([crest]).alerts.num_rows


def test_from_and_to_are_times_of_any_kind(crest: Path) -> None:
    """Given the crest's five minutes, text, datetime and nanoseconds say the same, local time where none is said."""
    at = datetime(2026, 8, 14, 14, 5, tzinfo=ZoneInfo("Asia/Shanghai"))
    texts = gateway.replay(crest, from_="2026-08-14T14:05", to="2026-08-14T14:06")
    times = gateway.replay(crest, from_=at.astimezone(ZoneInfo("UTC")), to="2026-08-14T06:06:00+00:00")
    whole = gateway.replay(crest, from_=int(at.timestamp()) * 10**9, to="2026-08-14 14:06")
    assert texts.alerts.equals(times.alerts)
    assert texts.series.equals(whole.series)
    assert 0 < texts.series.num_rows < gateway.replay(crest).series.num_rows
    with pytest.raises(GatewayError, match=r"to: found 'noon'; expected a time such as 2026-08-14T02:02:07\+08:00"):
        gateway.replay(crest, to="noon")


def test_texts_and_odd_names_come_back_as_they_were() -> None:
    """Given line protocol with escapes, commas and quotes, names, tags and texts are read back plain."""
    lines = (
        b'air,device=a\\ b,site=x\\,y pm25=1.5,ok=true,note="say \\"hi\\", x=1" 1786687200000000001\n'
        b"air,device=a\\ b,site=x\\,y pm25=2 1786687200000000002\n"
        b'we\\ ather,site=\xe5\x8c\x97 sky="clear",rh=3i 1786687200000000003\n'
    )
    tables = Tables()
    tables.take([Stepped(lines, 3, [], [], [], b"")])
    series = tables.series()
    rows = list(
        zip(
            *(series[name].to_pylist() for name in ("measurement", "field", "tags", "value", "text")),
            strict=True,
        )
    )
    tags = [("device", "a b"), ("site", "x,y")]
    assert rows == [
        ("air", "pm25", tags, 1.5, None),
        ("air", "ok", tags, 1.0, None),
        ("air", "note", tags, None, 'say "hi", x=1'),
        ("air", "pm25", tags, 2.0, None),
        ("we ather", "rh", [("site", "北")], 3.0, None),
        ("we ather", "sky", [("site", "北")], None, "clear"),
    ]
    assert series["time"].to_numpy().astype(np.int64).tolist() == [1786687200000000000 + n for n in (1, 1, 1, 2, 3, 3)]


def test_nothing_stored_is_two_empty_tables(tmp_path: Path) -> None:
    tables = Tables()
    assert (tables.alerts().num_rows, tables.series().num_rows) == (0, 0)
    with pytest.raises(RecordingError, match=r"its files end in \.mcap"):
        gateway.replay(tmp_path)


def test_in_a_notebook_a_loop_runs_already(crest: Path) -> None:
    async def cell() -> int:
        return gateway.replay(crest).alerts.num_rows

    assert asyncio.run(cell()) == gateway.replay(crest).alerts.num_rows


def test_importing_the_package_loads_nothing() -> None:
    """Given a fresh Python, `import gateway` brings no numpy; an attribute that there is not is said."""
    code = "import sys, gateway; assert not {'numpy', 'pyarrow', 'gateway.core'} & set(sys.modules); gateway.rerun"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stderr.endswith("AttributeError: module 'gateway' has no attribute 'rerun'\n")


def test_without_pyarrow_it_says_what_to_install(crest: Path) -> None:
    code = f"import sys; sys.modules['pyarrow'] = None; import gateway; gateway.replay({str(crest)!r})"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "GatewayError: " in ended.stderr
    assert ended.stderr.endswith("needs pyarrow: pip install 'zhiwang[analysis]'\n")
