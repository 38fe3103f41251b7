"""Series that InfluxDB has become messages again: 1.x from a real server, 2.x by the samples of its documentation."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from gateway.errors import GatewayError, LoginRefused, RefusedError, Unreachable
from gateway.exchange import influx_v2
from gateway.exchange.influx import Login
from gateway.ports import Row
from gateway.sinks.influx import V1, build_v1
from tests.conftest import free_port
from tests.exchange.street import STREET, T0, S, imported
from tests.servers.influx import Influx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.certificates import Authority

LINES = "".join(
    f'air,device={device},site=old\\ town pm25={second}.5,note="say \\"hi\\"" {(T0 + second) * S + 123456}\n'
    for device in ("17", "18")
    for second in range(5)
) + "".join(f"water v={second} {(T0 + second) * S + S // 2}\n" for second in range(5))


def _write(influx: Influx, db: str, lines: str) -> None:
    async def write() -> None:
        sink = build_v1("influx", V1(v1=influx.url, db=db), base=None)  # type: ignore[arg-type]  no relative files
        rows = lines.splitlines(keepends=True)
        parts = ["".join(rows[first : first + 5000]).encode() for first in range(0, len(rows), 5000)]
        assert not await sink.deliver([Row(place, 0, "", 1, part) for place, part in enumerate(parts)])
        await sink.aclose()

    asyncio.run(write())


def test_a_sinks_own_server_is_asked_for_what_it_wrote(tmp_path: Path, influx: Influx) -> None:
    db = influx.database("exchange_sink")
    _write(influx, db, LINES.replace("water v", "water level"))
    text = STREET + f"sinks:\n  tsdb: {{v1: '{influx.url}', db: {db}}}\n"
    done, read = imported(tmp_path, "influx:tsdb", text=text, from_ns=T0 * S, to_ns=(T0 + 4) * S)
    came = [(at, topic, json.loads(body)) for at, topic, body in read.messages()]
    expected: list[tuple[int, str, dict[str, object]]] = []
    for second in range(4):
        for device in ("17", "18"):  # without the hash that is below the sensor's resolution
            body = {"ts": T0 + second, "data": {"pm2_5": second + 0.5}}
            expected.append(((T0 + second) * S, f"air/old town/{device}/up", body))
        expected.append(((T0 + second) * S + S // 2, "water/level", {"t": (T0 + second) * 1000 + 500, "v": second}))
    assert sorted(came, key=lambda one: one[:2]) == sorted(expected, key=lambda one: one[:2])
    assert [at for at, _, _ in came] == sorted(at for at, _, _ in came)
    assert done.findings.unread == 0


def test_many_chunks_of_a_server_by_its_url(tmp_path: Path, influx: Influx) -> None:
    db = influx.database("exchange_chunks")
    count = 25_000
    _write(influx, db, "".join(f"air,device=1,site=a pm25={i} {T0 * S + i * 10**7}\n" for i in range(count)))
    _, read = imported(tmp_path, influx.url, sensors=("air",), login=Login(db=db), now_ns=2 * T0 * S)
    assert [json.loads(body)["data"]["pm2_5"] for _, _, body in read.messages()] == list(range(count))


def test_a_query_of_ones_own(tmp_path: Path, influx: Influx) -> None:
    db = influx.database("exchange_query")
    _write(influx, db, LINES)
    query = 'SELECT mean("pm25") AS "pm25" FROM "air" WHERE time < 4000000000s GROUP BY time(2s), * fill(none)'
    _, read = imported(tmp_path, influx.url, sensors=("air",), login=Login(db=db), query=query)
    came = [((at // S - T0), topic, json.loads(body)["data"]["pm2_5"]) for at, topic, body in read.messages()]
    assert came == [
        (second, f"air/old town/{device}/up", value)
        for second, value in ((0, 1.0), (2, 3.0), (4, 4.5))
        for device in ("17", "18")
    ]


def test_what_a_server_says_is_said(tmp_path: Path, influx: Influx, influx_with_login: Influx) -> None:
    with pytest.raises(RefusedError, match=r"database not found: nowhere"):
        imported(tmp_path, influx.url, sensors=("air",), login=Login(db="nowhere"))
    with pytest.raises(RefusedError, match=r"error parsing query"):
        imported(tmp_path, influx.url, sensors=("air",), login=Login(db="x"), query="SELECTED")
    with pytest.raises(LoginRefused, match=r"refused the login \(401\)"):
        imported(tmp_path, influx_with_login.url, sensors=("air",), login=Login(db="x"))
    db = influx_with_login.database("exchange_login")
    login = Login(db=db, user="admin", password="secret")
    with pytest.raises(GatewayError, match="nothing was found to import"):
        imported(tmp_path, influx_with_login.url, sensors=("air",), login=login)
    with pytest.raises(Unreachable, match="cannot be reached"):
        imported(tmp_path, f"http://127.0.0.1:{free_port()}", sensors=("air",), login=Login(db="x"))
    with pytest.raises(GatewayError, match=r"say --db NAME .* or --bucket"):
        imported(tmp_path, influx.url)
    with pytest.raises(GatewayError, match="the InfluxDB sinks of the configuration: none"):
        imported(tmp_path, "influx:tsdb")


def test_a_server_with_a_certificate_of_ones_own(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "influx"
    folder.mkdir()
    server = Influx(folder, tls=(authority.issue("exchange"), authority.ca))
    server.start()
    try:
        db = server.database("exchange_tls")
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            imported(tmp_path, server.url, sensors=("air",), login=Login(db=db))
        with pytest.raises(GatewayError, match="nothing was found to import"):
            imported(tmp_path, server.url, sensors=("air",), login=Login(db=db, ca=authority.ca))
    finally:
        server.stop()
    with pytest.raises(GatewayError, match=r"--ca: .*gateway.yaml holds no certificates"):
        imported(tmp_path, server.url, sensors=("air",), login=Login(db=db, ca=tmp_path / "gateway.yaml"))


def test_a_sinks_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    text = STREET + "sinks: {tsdb: {v2: 'http://127.0.0.1:1', bucket: b, token: {env: NO_SUCH_TOKEN}}}\n"
    with pytest.raises(GatewayError, match=r"sinks\.tsdb: the environment has no NO_SUCH_TOKEN"):
        imported(tmp_path, "influx:", text=text, from_ns=T0 * S, to_ns=T0 * S + 1)


# InfluxData, "Annotated CSV", the first two examples of the page, and its error encoding.
ANNOTATED = """\
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,string,double
#group,false,false,false,false,false,false,false,false
#default,my-result,,,,,,,
,result,table,_start,_stop,_time,region,host,_value
,,0,2022-12-31T00:00:00Z,2023-01-01T00:00:00Z,2022-12-31T00:00:00Z,east,A,15.43
,,0,2022-12-31T00:00:00Z,2023-01-01T00:00:00Z,2022-12-31T00:00:20.123456789Z,east,B,59.25
\r
#datatype,string,long,dateTime:RFC3339,string,boolean,long
#group,false,false,false,true,false,false
#default,,,,,,
,result,table,_time,host,up,n
,r,1,2022-12-31T00:00:00Z,"C, the third",true,7
"""
FAILED = """\
#datatype,string,long
#group,true,true
#default,,
,error,reference
,Failed to parse query,897
"""


def test_annotated_csv_as_the_documentation_shows_it() -> None:
    [(columns, rows), (others, other_rows)] = influx_v2.annotated(ANNOTATED.splitlines(keepends=True))
    assert columns == ["result", "table", "_start", "_stop", "_time", "region", "host", "_value"]
    assert [row[4:] for row in rows] == [
        [1_672_444_800 * S, "east", "A", 15.43],
        [1_672_444_820 * S + 123_456_789, "east", "B", 59.25],
    ]
    assert rows[0][0] == "my-result"
    assert (others[2:], other_rows) == (
        ["_time", "host", "up", "n"],
        [["r", 1, 1_672_444_800 * S, "C, the third", True, 7]],
    )


def test_an_error_within_annotated_csv_is_said() -> None:
    with pytest.raises(RefusedError, match="Failed to parse query"):
        list(influx_v2.annotated(FAILED.splitlines(keepends=True)))


@contextmanager
def _served(answers: list[str]) -> Iterator[tuple[str, list[tuple[str, str | None, dict[str, object]]]]]:
    """A server that gives these answers, one a question: there is no InfluxDB 2.x here to ask."""
    asked: list[tuple[str, str | None, dict[str, object]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            answer = answers[len(asked) - 1].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_flux_is_asked_day_by_day_with_the_token(tmp_path: Path) -> None:
    head = (
        "#datatype,string,long,dateTime:RFC3339,string,string,double\n#group,false,false,false,false,false,false\n"
        "#default,_result,,,,,\n,result,table,_time,device,site,pm25\n"
    )
    days = [head + ",,0,2026-05-28T23:59:59Z,17,a,1\n", head + ",,0,2026-05-29T00:00:00Z,17,a,2\n"]
    with _served(days) as (url, asked):
        _, read = imported(
            tmp_path,
            url,
            sensors=("air",),
            login=Login(bucket="sensing", org="longgang", token="t0p"),
            from_ns=T0 * S,
            to_ns=(T0 + 86_400) * S,
        )
    assert [json.loads(body)["data"] for _, _, body in read.messages()] == [{"pm2_5": 1.0}, {"pm2_5": 2.0}]
    assert [(path, token) for path, token, _ in asked] == [("/api/v2/query?org=longgang", "Token t0p")] * 2
    first = str(asked[0][2]["query"])
    assert 'from(bucket: "sensing")' in first
    assert "range(start: 2026-05-28T20:27:00.000000000Z, stop: 2026-05-29T00:00:00.000000000Z)" in first
    assert 'r._measurement == "air" and (r._field == "pm25" or r._field == "rh")' in first


def test_influx_2_needs_a_span(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="say --from"):
        imported(tmp_path, "http://127.0.0.1:1", login=Login(bucket="b"))
