"""Series reach InfluxDB whole; what it refuses is found line by line; what fails for a while is said to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.clock import NS, WallClock
from gateway.config.common import Secret
from gateway.errors import LoginRefused, Throttled, Unreachable
from gateway.sinks import influx_http
from gateway.sinks.influx import REQUEST_BYTES, V1, V2, InfluxSink, _zips, build_v1, build_v2
from tests.conftest import free_port
from tests.servers.influx import Victoria
from tests.sinks.conftest import Scripted, series_rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.servers.influx import Influx

HERE = Path()
GONE = (204, b"", "")
GOOD = [b"air,device=%04d pm25=%d.5,rh=%di %d\n" % (n, n, n, 1_700_000_000_000_000_000 + n) for n in range(100)]


@pytest.fixture
async def sink_to() -> AsyncIterator[Callable[[V1 | V2], InfluxSink]]:
    """Makes sinks, and closes them."""
    made: list[InfluxSink] = []

    def make(kind: V1 | V2) -> InfluxSink:
        made.append(build_v1("influx", kind, HERE) if isinstance(kind, V1) else build_v2("influx", kind, HERE))
        return made[-1]

    yield make
    for sink in made:
        await sink.aclose()


async def test_points_are_read_back_by_influxql_to_the_nanosecond(
    influx: Influx, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """100 points in two rows, delivered twice: 100 points, each with its value and time."""
    sink = sink_to(V1(v1=influx.url, db=influx.database("plain")))
    rows = series_rows(b"".join(GOOD[:60]), b"".join(GOOD[60:]))
    assert list(await sink.deliver(rows)) == []
    assert list(await sink.deliver(rows)) == []
    got = influx.query("SELECT pm25, rh, device FROM air", "plain")
    assert [(row["time"], row["pm25"], row["rh"], row["device"]) for row in got] == [
        (1_700_000_000_000_000_000 + n, n + 0.5, n, f"{n:04}") for n in range(100)
    ]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"air,device=0001 pm25= 1700000000000000500\n", "missing field value"),
        (b'air,device=0001 pm25="high" 1700000000000000500\n', "field type conflict"),
    ],
)
async def test_one_bad_line_among_a_hundred_is_refused_alone_with_the_servers_words(
    influx: Influx, sink_to: Callable[[V1 | V2], InfluxSink], bad: bytes, said: str
) -> None:
    """The other 99 are stored; the bad one comes back with its row."""
    sink = sink_to(V1(v1=influx.url, db=influx.database("partial")))
    await sink.deliver(series_rows(GOOD[0]))  # fixes the field's type
    rows = series_rows(b"".join(GOOD[:37]), b"".join([*GOOD[37:50], bad, *GOOD[50:99]]))
    (rejected,) = await sink.deliver(rows)
    assert (rejected.row, rejected.body) == (rows[1], bad.removesuffix(b"\n"))
    assert said in rejected.reason
    assert influx.query("SELECT count(pm25) FROM air", "partial")[0]["count"] == 99


async def test_a_backlog_older_than_the_retention_is_refused_in_a_few_requests(
    influx: Influx, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """A retention of one hour and points of 2023: all come back, none is tried for ever."""
    db = influx.database("short")
    influx.query("CREATE RETENTION POLICY hour ON short DURATION 1h REPLICATION 1 DEFAULT", db)
    sink = sink_to(V1(v1=influx.url, db=db))
    rejected = await sink.deliver(series_rows(b"".join(GOOD)))
    assert [r.body + b"\n" for r in rejected] == [b"".join(GOOD)], "one letter a row"
    assert "beyond retention policy" in rejected[0].reason


async def test_of_points_old_and_new_exactly_the_old_ones_are_set_aside(
    influx: Influx, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """A retention of one hour, every third of 3,000 points from before it, in three rows: 1,000 refused, 2,000 there.

    The server says how many, not which.
    """
    db = influx.database("mixed")
    influx.query("CREATE RETENTION POLICY hour ON mixed DURATION 1h REPLICATION 1 DEFAULT", db)
    now_ns = WallClock().now_ns()
    old_ns, new_ns = now_ns - 86_400 * NS, now_ns - 60 * NS
    lines = [b"air,device=%d v=%d %d\n" % (n % 7, n, (new_ns if n % 3 else old_ns) + n) for n in range(3000)]
    rows = series_rows(*(b"".join(lines[at : at + 1000]) for at in (0, 1000, 2000)))
    rejected = await sink_to(V1(v1=influx.url, db=db)).deliver(rows)
    refused = b"".join(one.body + b"\n" for one in rejected).splitlines(keepends=True)
    assert sorted(refused) == sorted(lines[::3])
    assert [one.row.position for one in rejected] == [1, 2, 3]
    assert all("beyond retention policy" in one.reason for one in rejected)
    got = influx.query("SELECT v FROM air", db)
    assert sorted(row["v"] for row in got) == [n for n in range(3000) if n % 3]  # type: ignore[type-var]  # numbers all


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    "words",
    [
        "failure writing points to database: partial write: points beyond retention policy dropped=%d",
        "partial write: dropped %d points outside retention policy of duration 1h0m0s - … Lower Bound",
    ],
)
async def test_the_old_points_are_found_in_a_few_requests_by_how_many_there_are(
    scripted: Scripted, sink_to: Callable[[V1 | V2], InfluxSink], which: int, words: str
) -> None:
    """As InfluxDB 2.x words it: 500 of 1,000 are too old, every second: their number, sorted by time, names them."""

    def answer(body: bytes) -> tuple[int, bytes, str]:
        old = sum(int(line.rsplit(b" ", 1)[1]) < 1000 for line in body.splitlines())
        return (422, json.dumps({"code": "unprocessable entity", "message": words % old}).encode(), "") if old else GONE

    scripted.answer = answer
    lines = [b"air v=%d %d\n" % (n, n if n % 2 else n + 5000) for n in range(1000)]
    rejected = await sink_to(_kinds(scripted.url)[which]).deliver(series_rows(b"".join(lines)))
    assert sorted(b"".join(r.body + b"\n" for r in rejected).splitlines(keepends=True)) == sorted(lines[1::2])
    assert len(scripted.requests) == 3


async def test_points_ahead_of_a_write_window_are_found_by_halves(
    scripted: Scripted, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """They are the newest, not the oldest: the number alone names none."""

    def answer(body: bytes) -> tuple[int, bytes, str]:
        new = sum(int(line.rsplit(b" ", 1)[1]) > 997 for line in body.splitlines())
        words = f"partial write: dropped {new} points outside retention policy: violates a Write Window Upper Bound"
        return (422, json.dumps({"message": words}).encode(), "") if new else GONE

    scripted.answer = answer
    lines = [b"air v=%d %d\n" % (n, n) for n in range(1000)]
    rejected = await sink_to(_kinds(scripted.url)[1]).deliver(series_rows(b"".join(lines)))
    assert b"".join(r.body + b"\n" for r in rejected) == b"".join(lines[998:])
    assert len(scripted.requests) < 30


async def test_victoriametrics_says_nothing_of_points_older_than_it_keeps(
    tmp_path: Path, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """It takes them with 204 and lets them fall: they count as delivered, and nothing is tried again."""
    server = Victoria(tmp_path)
    server._command = [one.replace("-retentionPeriod=100y", "-retentionPeriod=1d") for one in server._command]
    server.start()
    try:
        now_ns = WallClock().now_ns()
        lines = [b"kept,n=%d v=%d %d\n" % (n, n, now_ns - (60 + n * 40 * 86_400) * NS) for n in range(2)]
        assert list(await sink_to(V2(v2=server.url, bucket="b")).deliver(series_rows(b"".join(lines)))) == []
        assert [series["values"] for series in server.export("kept_v")] == [[0]]
    finally:
        server.stop()


async def test_a_missing_database_gives_nothing_up(influx: Influx, sink_to: Callable[[V1 | V2], InfluxSink]) -> None:
    """The request is wrong, not the lines: tried again until someone makes the database."""
    influx.query("DROP DATABASE later")
    sink = sink_to(V1(v1=influx.url, db="later"))
    with pytest.raises(Unreachable, match="database not found"):
        await sink.deliver(series_rows(GOOD[0]))
    influx.database("later")
    assert list(await sink.deliver(series_rows(GOOD[0]))) == []


async def test_a_wrong_password_is_a_refused_login_and_the_right_one_goes_through(
    influx_with_login: Influx, sink_to: Callable[[V1 | V2], InfluxSink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """401 is told apart from an outage."""
    db = influx_with_login.database("private")
    monkeypatch.setenv("WRONG", "guess")
    monkeypatch.setenv("RIGHT", "secret")
    wrong = sink_to(V1(v1=influx_with_login.url, db=db, user="admin", password=Secret(env="WRONG")))
    with pytest.raises(LoginRefused, match="authorization failed"):
        await wrong.deliver(series_rows(GOOD[0]))
    right = sink_to(V1(v1=influx_with_login.url, db=db, user="admin", password=Secret(env="RIGHT")))
    assert list(await right.deliver(series_rows(GOOD[0]))) == []


async def test_a_login_in_the_url_is_used_and_told_to_nobody(
    influx_with_login: Influx, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """Beside a `user:` of its own too, which comes first."""
    db = influx_with_login.database("inline")
    rows = series_rows(b"login v=1 1\n")
    for inline, user in (("admin:wr0ng%40", None), ("nobody:wr0ng%40", "admin")):
        wrong = sink_to(V1(v1=influx_with_login.url.replace("://", f"://{inline}@"), db=db, user=user))
        with pytest.raises(LoginRefused, match=f"^{influx_with_login.url}/write answered 401") as refused:
            await wrong.deliver(rows)
        assert "wr0ng" not in str(refused.value)
    right = sink_to(V1(v1=influx_with_login.url.replace("://", "://admin:secret@"), db=db))
    assert list(await right.deliver(rows)) == []


@pytest.mark.parametrize("url", ["http://h:port", "http://h?u=a&p=b", "https://h#x", "ftp://h", "http://[h"])
def test_an_address_that_cannot_be_one_is_told(url: str) -> None:
    """A query would have to stand behind what is added to the address."""
    for kind, key in ((V1(v1=url, db="d"), "v1"), (V2(v2=url, bucket="b"), "v2")):
        assert [problem[0] for problem in kind.problems()] == [key]
    assert V1(v1="http://u:p@h/x", db="d").problems() == []
    [(_, problem)] = V2(v2="http://u:p@h/x", bucket="b").problems()
    assert "write token:" in problem


async def test_a_server_that_goes_and_comes_back_gets_the_same_rows(
    own_influx: Influx, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """Down: Unreachable. Up again: delivered by the same sink."""
    sink = sink_to(V1(v1=own_influx.url, db=own_influx.database("back")))
    await sink.deliver(series_rows(GOOD[0]))
    own_influx.stop()
    with pytest.raises(Unreachable):
        await sink.deliver(series_rows(GOOD[1]))
    own_influx.start()
    assert list(await sink.deliver(series_rows(GOOD[1]))) == []
    assert own_influx.query("SELECT count(pm25) FROM air", "back")[0]["count"] == 2


async def test_influxdb_client_writes_what_victoriametrics_gives_back(
    victoria: Victoria, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """`/api/v2/write`, gzipped: every number arrives; a string is stored as 0."""
    sink = sink_to(V2(v2=victoria.url, org="o", bucket="b", gzip=True))
    lines = [b'v2,device=d%d pm25=%d.25,note="x" 170000000%d000000000\n' % (n % 2, n, n) for n in range(10)]
    padding = [b"v2pad,n=%d x=1 1700000000000000000\n" % n for n in range(100)]
    assert list(await sink.deliver(series_rows(b"".join(lines), b"".join(padding)))) == []
    values = sorted(value for series in victoria.export("v2_pm25") for value in series["values"])  # type: ignore[attr-defined]  # JSON
    assert values == [n + 0.25 for n in range(10)]
    assert {value for series in victoria.export("v2_note") for value in series["values"]} == {0}  # type: ignore[attr-defined]  # JSON


def _kinds(url: str) -> list[V1 | V2]:
    return [V1(v1=url, db="d"), V2(v2=url, org="o", bucket="b")]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, LoginRefused),
        (403, LoginRefused),
        (500, Unreachable),
        (503, Unreachable),
        (404, Unreachable),
        (302, Unreachable),
    ],
)
async def test_each_answer_becomes_the_error_that_says_what_to_do(
    scripted: Scripted,
    sink_to: Callable[[V1 | V2], InfluxSink],
    which: int,
    status: int,
    error: type[Exception],
) -> None:
    """Both ways of writing read answers alike; none is retried behind our back."""
    more = "Location: http://127.0.0.1:1/\r\n" if status == 302 else ""
    scripted.answer = lambda _: (status, b'{"code":"x","message":"the server\'s words"}', more)
    with pytest.raises(error, match=f"answered {status}: the server's words"):
        await sink_to(_kinds(scripted.url)[which]).deliver(series_rows(GOOD[0]))
    assert len(scripted.requests) == 1


@pytest.mark.parametrize("which", [0, 1])
async def test_retry_after_is_passed_on(
    scripted: Scripted, sink_to: Callable[[V1 | V2], InfluxSink], which: int
) -> None:
    """429 and 503 may say how long to wait."""
    for status in (429, 503):
        scripted.answer = lambda _, status=status: (status, b"{}", "Retry-After: 17\r\n")
        with pytest.raises(Throttled) as caught:
            await sink_to(_kinds(scripted.url)[which]).deliver(series_rows(GOOD[0]))
        assert caught.value.retry_after_s == 17


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("head", "pause_s"),
    [
        ("Date: Wed, 21 Oct 2026 07:27:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:30 GMT\r\n", 90),
        ("Date: Wed, 21 Oct 2026 07:27:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:20:00 GMT\r\n", 0),
        ("Date: Wed, 21 Oct 2026 07:27:00 GMT\r\nRetry-After: Thu, 21 Oct 2027 07:27:00 GMT\r\n", 3600),
        ("Retry-After: 999999999999\r\n", 3600),
        ("Retry-After: Wed, 21 Oct 2026 07:28:30 GMT\r\n", 1),
        ("Date: Wed, 21 Oct 2026 07:27:00\r\nRetry-After: Wed, 21 Oct 2026 07:28:30 GMT\r\n", 1),
        ("Date: x\r\nRetry-After: soon\r\n", 1),
        ("Retry-After: ²\r\n", 1),
        ("", 1),
    ],
)
async def test_a_pause_may_be_a_date_by_the_servers_own_clock_and_is_an_hour_at_most(
    scripted: Scripted, sink_to: Callable[[V1 | V2], InfluxSink], which: int, head: str, pause_s: float
) -> None:
    """What cannot be read is as if it were not there: a second."""
    scripted.answer = lambda _: (429, b"{}", head)
    with pytest.raises(Throttled) as caught:
        await sink_to(_kinds(scripted.url)[which]).deliver(series_rows(GOOD[0]))
    assert caught.value.retry_after_s == pause_s


@pytest.mark.parametrize("which", [0, 1])
async def test_a_server_that_accepts_and_never_answers_is_left(
    scripted: Scripted, sink_to: Callable[[V1 | V2], InfluxSink], which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the timeout (10 s; less here) it is Unreachable, and the next delivery works."""
    assert influx_http.TIMEOUT_S == 10
    monkeypatch.setattr("gateway.sinks.influx_http.TIMEOUT_S", 0.3)
    monkeypatch.setattr("gateway.sinks.influx.TIMEOUT_S", 0.3)
    sink = sink_to(_kinds(scripted.url)[which])
    scripted.answer = None
    with pytest.raises(Unreachable, match="did not answer"):
        await sink.deliver(series_rows(GOOD[0]))
    scripted.answer = lambda _: (204, b"", "")
    assert list(await sink.deliver(series_rows(GOOD[0]))) == []


@pytest.mark.parametrize("which", [0, 1])
async def test_nobody_listening_is_unreachable(sink_to: Callable[[V1 | V2], InfluxSink], which: int) -> None:
    """A refused connection is an outage."""
    with pytest.raises(Unreachable, match="cannot be reached"):
        await sink_to(_kinds(f"http://127.0.0.1:{free_port()}")[which]).deliver(series_rows(GOOD[0]))


async def test_the_lines_that_influxdb_3_numbers_are_refused_without_a_search(
    scripted: Scripted, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """Its partial write names line numbers; the rest is written again once."""

    def answer(body: bytes) -> tuple[int, bytes, str]:
        bad = [n for n, line in enumerate(body.splitlines(), 1) if b"oops" in line]
        data = [{"original_line": "…", "line_number": n, "error_message": f"bad at {n}"} for n in bad]
        said = json.dumps({"error": "partial write of line protocol occurred", "data": data}).encode()
        return (400, said, "") if bad else (204, b"", "")

    scripted.answer = answer
    lines = [*GOOD[:10], b"oops a=1 5\n", *GOOD[10:20], b"oops b=1 5\n"]
    rejected = await sink_to(V2(v2=scripted.url, org="o", bucket="b")).deliver(series_rows(b"".join(lines)))
    assert [(r.body, r.reason) for r in rejected] == [(b"oops a=1 5", "bad at 11"), (b"oops b=1 5", "bad at 22")]
    assert len(scripted.requests) == 2


async def test_a_request_that_is_too_large_is_halved(
    scripted: Scripted, sink_to: Callable[[V1 | V2], InfluxSink]
) -> None:
    """413: smaller requests carry the same lines; one line that is too large by itself is refused."""
    scripted.answer = lambda body: (413, b"too large", "") if len(body) > 400 else (204, b"", "")
    huge = b'air text="' + b"x" * 500 + b'" 5\n'
    sink = sink_to(V1(v1=scripted.url, db="d"))
    (rejected,) = await sink.deliver(series_rows(b"".join([*GOOD[:50], huge, *GOOD[50:]])))
    assert rejected.body + b"\n" == huge
    taken = b"".join(body for body in scripted.requests if len(body) <= 400)
    assert sorted(taken.splitlines()) == sorted(b"".join(GOOD).splitlines())


@pytest.mark.parametrize("which", [0, 1])
async def test_requests_are_bounded_and_zipped(
    scripted: Scripted, sink_to: Callable[[V1 | V2], InfluxSink], which: int
) -> None:
    """Rows are joined up to the bound, never beyond it, and every line arrives once, in order."""
    body = b"".join(GOOD) * 40
    rows = series_rows(*[body] * 10)
    kind = msgspec.structs.replace(_kinds(scripted.url)[which], gzip=True)
    assert list(await sink_to(kind).deliver(rows)) == []
    assert b"".join(scripted.requests) == body * 10
    assert max(map(len, scripted.requests)) <= REQUEST_BYTES
    assert len(scripted.requests) < 10
    assert "content-encoding: gzip" in scripted.heads[0].lower()
    assert "precision=ns" in scripted.heads[0]


def test_what_leaves_this_machine_is_zipped_unless_told_otherwise() -> None:
    """Within one machine it costs both sides and spares nothing."""
    assert [_zips(None, url) for url in ("http://127.0.0.1:8086", "http://localhost", "http://[::1]:1")] == [False] * 3
    assert _zips(None, "https://influx.longgang.example")
    assert (_zips(True, "http://127.0.0.1"), _zips(False, "http://h")) == (True, False)


async def test_what_cannot_be_read_is_the_sink_s_trouble_until_it_can(scripted: Scripted, tmp_path: Path) -> None:
    """A missing secret, variable or certificate names its key; once it is there the same sink delivers."""
    rows = series_rows(GOOD[0])
    late = build_v2("i", V2(v2=scripted.url, bucket="b", token=Secret(file="token")), tmp_path)
    with pytest.raises(LoginRefused, match=r"sinks\.i\.token: cannot read .*token"):
        await late.deliver(rows)
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    with pytest.raises(LoginRefused, match=r"sinks\.i\.token: cannot read .*not UTF-8"):
        await late.deliver(rows)
    (tmp_path / "token").write_text("s3cret\n")

    assert list(await late.deliver(rows)) == []
    await late.aclose()
    with pytest.raises(LoginRefused, match=r"sinks\.i\.password: the environment has no NOT_SET_ANYWHERE"):
        await build_v1("i", V1(v1="http://x", db="b", password=Secret(env="NOT_SET_ANYWHERE")), tmp_path).deliver(rows)
    with pytest.raises(LoginRefused, match=r"sinks\.i\.ca"):
        await build_v1("i", V1(v1="http://x", db="b", ca="nowhere.pem"), tmp_path).deliver(rows)
    assert V2(v2="influx:8086", bucket="b").problems()
    assert not V2(v2="https://influx.longgang.example", bucket="b").problems()
