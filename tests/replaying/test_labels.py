"""What people said of alerts, kept beside a recording, and how rules score by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.times import stamp_ns
from gateway.errors import ConfigError
from gateway.replaying.labels import END_NS, Labels, Verdict, Window, scores, spans, window_of
from gateway.replaying.labels_file import beside, read, read_beside, write

if TYPE_CHECKING:
    from pathlib import Path

DAY = "2026-08-14T"
ZONE = "Asia/Shanghai"


def line(
    change: str, at: str, id_: str = "flood-1", *, began: str = "02:02:07", subject: str = "water.level", **more: object
) -> bytes:
    """A change of an alert, as in a recording."""
    body = {"id": id_, "rule": id_.rpartition("-")[0], "subject": subject, "code": "LG17-4K2M", "colour": "orange"}
    times = {"started": f"{DAY}{began}+08:00", "changed": f"{DAY}{at}+08:00"}
    return msgspec.json.encode({**body, **times, "change": change, **more})


def window(verdict: Verdict, begin: str, end: str, rule: str = "flood", subject: str = "", alert: str = "") -> Window:
    return Window(rule, subject, stamp_ns(f"{DAY}{begin}+08:00"), stamp_ns(f"{DAY}{end}+08:00"), verdict, "", alert)


FLOOD = [line("raised", "02:02:37"), line("raised_level", "02:14:00"), line("cleared", "03:10:00")]


def test_an_alert_belongs_to_a_window_in_which_it_began_or_held() -> None:
    """Given an alert from 02:02 to 03:10, it is in a window that begins before its end, not in one after it."""
    for begin, end, expected in (("02:30", "04:00", "wrong"), ("01:00", "02:03", "wrong"), ("03:11", "05:00", None)):
        labels = Labels([window("wrong", begin, end)])
        assert labels.of_span(spans(FLOOD)[0]) == expected, (begin, end)


def test_one_change_is_judged_by_what_it_says_itself() -> None:
    """Given one line of an alert, when nothing is known of later, then a later window is not about it."""
    assert Labels([window("right", "09:00", "10:00")]).of(FLOOD[0]) is None
    assert Labels([window("right", "02:00", "02:10")]).of(FLOOD[0]) == "right"
    assert Labels([window("right", "02:00", "02:10")]).of(b"no alert") is None


def test_the_closest_word_counts() -> None:
    """Given windows of rule, subject and alert, the alert's own decides, then the subject's, then later ones."""
    whole = window("wrong", "00:00", "23:00")
    subject = window("right", "00:00", "23:00", subject="water.level")
    own = window("wrong", "00:00", "00:01", alert="flood-1")
    (alert,) = spans(FLOOD)
    assert Labels([subject, whole]).of_span(alert) == "right"
    assert Labels([own, subject, whole]).of_span(alert) == "wrong"
    assert Labels([whole, window("right", "02:00", "03:00")]).of_span(alert) == "right"
    assert Labels([whole]).and_then(Labels([subject])).of_span(alert) == "right"


def test_a_label_in_the_alert_counts_where_no_window_does() -> None:
    """Given an alert that somebody marked, then its last line says so, and taking the mark away does too."""
    marked = line(
        "labelled", "03:10:00", label={"verdict": "wrong", "who": "王工", "at": f"{DAY}09:00:00+08:00", "note": ""}
    )
    assert Labels().of_span(spans([*FLOOD, marked])[0]) == "wrong"
    assert Labels().of_span(spans([*FLOOD, marked, line("labelled", "03:10:00", label=None)])[0]) is None


def test_scores_count_right_wrong_and_what_was_missed() -> None:
    """Given two right windows, one with an alert, and one false alert: precision and recall are halves."""
    lines = [*FLOOD, line("raised", "12:00:00", "flood-2", began="11:59:00"), line("cleared", "12:05:00", "flood-2")]
    lines += [line("raised", "12:00:00", "dust-1", subject="air.pm25{device=0017,site=a}")]
    missed = window("right", "05:00", "06:00")
    labels = Labels([window("right", "02:00", "03:00"), missed, window("wrong", "11:00", "13:00")])
    dust, flood = scores(labels, lines)
    assert (flood.rule, flood.raised, flood.judged, flood.right, flood.wrong, flood.missed) == ("flood", 2, 2, 1, 1, 1)
    assert (flood.precision, flood.recall, flood.missed_windows) == (0.5, 0.5, (missed,))
    assert (dust.rule, dust.raised, dust.judged, dust.precision, dust.recall) == ("dust", 1, 0, None, None)


def test_a_rule_that_raised_nothing_is_scored_by_what_it_missed() -> None:
    """Given a right window and no alert at all, then the rule is there, with a recall of nothing."""
    (flood,) = scores(Labels([window("right", "02:00", "03:00")]), [])
    assert (flood.rule, flood.raised, flood.missed, flood.recall, flood.precision) == ("flood", 0, 1, 0.0, None)


def test_a_window_with_an_id_also_fits_the_same_event_under_another_id() -> None:
    """Given a recorded alert that was judged, when another limit makes it begin earlier, it is still that event."""
    labels = Labels([window_of(spans(FLOOD)[0], "right")])
    other = [line("raised", "01:50:00", "flood-9", began="01:49:00"), line("cleared", "03:20:00", "flood-9")]
    (score,) = scores(labels, other)
    assert (score.right, score.found, score.missed) == (1, 1, 0)


CSV = """rule,subject,from,to,verdict,note,alert
flood,water.level,2026-08-14T02:02:07+08:00,2026-08-14T03:10:00+08:00,right,seen on site,flood-1

dust,"air.pm25{device=0017,site=a}",2026-08-14 06:00,2026-08-14 09:00,误报,fog,
bank,,,,wrong,,
,,,,right,,crowd-00ff
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    """Given what a person wrote in a spreadsheet, with a byte order mark and local times, then it is understood."""
    path = tmp_path / "day.labels.csv"
    path.write_text("\ufeff" + CSV, encoding="utf-8")
    flood, dust, bank, crowd = read(path, ZONE).windows
    assert (flood.verdict, flood.note, flood.alert) == ("right", "seen on site", "flood-1")
    assert (dust.verdict, dust.subject) == ("wrong", "air.pm25{device=0017,site=a}")
    assert dust.from_ns == stamp_ns("2026-08-14T06:00:00+08:00")
    assert (bank.from_ns, bank.to_ns) == (-END_NS, END_NS)
    assert crowd.rule == "crowd"
    other = spans([line("raised", "02:00:00", "crowd-11")])[0]
    assert not crowd.fits(other), "an alert alone, not all of its rule"


def test_a_file_is_written_as_it_is_read(tmp_path: Path) -> None:
    """Given labels, written and read again they say the same, whatever stands in a note."""
    path = tmp_path / "day.labels.csv"
    path.write_text(CSV, encoding="utf-8")
    labels = read(path, ZONE)
    labels = labels.and_then(Labels([window("right", "02:00", "03:00")]))
    again = tmp_path / "again.labels.csv"
    write(again, labels, ZONE)
    plain = [msgspec.structs.replace(w, where="") for w in labels.windows]
    assert [msgspec.structs.replace(w, where="") for w in read(again).windows] == plain
    assert not list(tmp_path.glob(".*")), "nothing else is left"


@given(
    notes=st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).map(str.strip), max_size=5),
    times=st.lists(st.integers(0, 4 * 10**18).map(lambda ns: ns // 1000 * 1000), min_size=5, max_size=5),
)
def test_any_note_and_time_comes_back(
    notes: list[str], times: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Round trip of any words and any microsecond."""
    path = tmp_path_factory.mktemp("labels") / "x.labels.csv"
    given_ = [Window("r", note, at, END_NS, "right", note) for note, at in zip(notes, times, strict=False)]
    write(path, Labels(given_), ZONE)
    assert [msgspec.structs.replace(w, where="") for w in read(path).windows] == given_


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("rule,verdict\nflood,maybe\n", ":2: verdict: found 'maybe'; expected right"),
        ("rule,verdict,from\nflood,right,tomorrow\n", ":2: from: found 'tomorrow'; expected a time"),
        ("rule,verdict,from\nflood,right,2026-08-14 02:00\n", ":2: from: found '2026-08-14 02:00'; it needs an offset"),
        ("rule,from,to,verdict\nf,2026-08-14T02:00+08:00,2026-08-14T01:00+08:00,right\n", "before from"),
        ("rule;verdict\nflood;right\n", ":1: found the column 'rule;verdict'"),
        ("rule,verdicts\nflood,right\n", ":1: found the column 'verdicts'; columns are rule"),
        ("rule,note\nflood,x\n", "`verdict` is needed"),
        ("rule,verdict\nflood,right,x\n", ":2: found 3 cells in 2 columns"),
        ("rule,verdict\n,right\n", ":2: found neither a rule nor an alert"),
        ("rule,rule,verdict\nflood,flood,right\n", "twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    """Given a slip, then the file, the line, what was found and what is expected."""
    path = tmp_path / "day.labels.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        read(path)
    assert fault in str(told.value)
    assert str(path) in str(told.value)


def test_every_fault_is_said_at_once(tmp_path: Path) -> None:
    """Given three bad rows of four, then three findings."""
    path = tmp_path / "day.labels.csv"
    path.write_text("rule,verdict\nflood,?\nflood,right\n,right\ndust,no\n", encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        read(path)
    assert [finding.partition(": ")[0].rpartition(":")[2] for finding in told.value.findings] == ["2", "4", "5"]


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """Given a file in GBK, as a spreadsheet may write it, then it says how to save it."""
    path = tmp_path / "day.labels.csv"
    path.write_bytes("rule,verdict,note\nflood,right,属实\n".encode("gbk"))
    with pytest.raises(ConfigError, match="CSV UTF-8"):
        read(path)


def test_labels_stand_beside_their_recordings(tmp_path: Path) -> None:
    """Given two days and a folder's file, then all are read, the days' own words last."""
    for name, verdict in (("labels.csv", "wrong"), ("a.labels.csv", "right")):
        (tmp_path / name).write_text(f"rule,verdict\nflood,{verdict}\n", encoding="utf-8")
    assert beside(tmp_path / "a.mcap") == tmp_path / "a.labels.csv"
    assert beside(tmp_path) == tmp_path / "labels.csv"
    labels = read_beside([tmp_path / "a.mcap", tmp_path / "b.mcap"])
    assert [w.verdict for w in labels.windows] == ["wrong", "right"]
    assert labels.of(FLOOD[0]) == "right"
    assert not len(read_beside([tmp_path / "sub" / "c.mcap"]))
