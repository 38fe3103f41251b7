"""Whatever stands in a file: it is counted and said, and never ends an import in anything but a sentence."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, RefusedError
from gateway.exchange.columns import Told
from gateway.exchange.csv_file import CsvFile
from gateway.exchange.given import Findings, Given
from gateway.exchange.influx_v2 import annotated
from gateway.exchange.mosquitto import MosquittoLog
from gateway.exchange.readings import Readings, fields_in, zone_in
from gateway.exchange.topics import Topics
from tests.exchange.street import STREET, T0, config_of

CONFIG = config_of(STREET, Path())
TIMES = st.sampled_from(
    [f"{T0}.5", f"{T0}", "2026-05-29T04:27:00+0800", "May 29 04:27:00", "2026-02-30 00:00:00", "9" * 12, "1" * 20, "-1"]
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
LINES = st.lists(
    st.binary(max_size=40)
    | st.tuples(TIMES, TEXT, TEXT).map(lambda parts: " ".join(parts).encode())
    | st.tuples(TIMES, TEXT).map(
        lambda parts: f'{{"tst":"{parts[0]}","topic":"air/a/1/up","payload":"{parts[1]}"}}'.encode()
    )
    | st.sampled_from(
        [b'{"tst":1}', b'{"topic":"a","tst":1780000020,"payload":{"a":[1]}}', b'{"kind":"health"}', b"{"]
    ),
    max_size=12,
).map(b"\n".join)


def _in_order(came: list[Given]) -> None:
    stamps = [one.admitted_ns for one in came]
    assert stamps == sorted(stamps)


@given(body=LINES, as_hex=st.booleans())
def test_any_log(body: bytes, as_hex: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.log")
        path.write_bytes(body)
        findings = Findings()
        log = MosquittoLog(path, Topics(CONFIG), findings, payload="hex" if as_hex else "text")
        came = list(log.inputs())
        _in_order(came)
        assert findings.counts["messages"] == len(came)
        assert len(findings.lines()) <= findings.unread


CELLS = st.sampled_from(["", f"{T0}", "2026-05-29", '"', "a", "1", "nan", "1e999", "/", "\x00", "é", "9" * 400]) | TEXT
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=5).map(",".join), max_size=8).map("\n".join)


@given(rows=ROWS, tail=st.binary(max_size=8))
def test_any_table(rows: str, tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "air.csv")
        path.write_bytes(b"time,site,device,pm25\n" + rows.encode() + tail)
        wanted = Topics(CONFIG).named("air", "")
        fields, findings = fields_in(wanted, CONFIG), Findings()
        readings = Readings(wanted, fields, findings)
        zone = zone_in(wanted, CONFIG, None)
        try:
            table = CsvFile(path, wanted, fields, readings, findings, told=Told(), zone=zone)
        except GatewayError:
            return
        came = list(table.inputs())
        _in_order(came)
        assert findings.counts["messages"] == len(came)


@given(lines=st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=10))
def test_any_annotated_csv(lines: list[str]) -> None:
    try:
        assert all(rows for _, rows in annotated([f"{line}\n" for line in lines]))
    except RefusedError:
        return
