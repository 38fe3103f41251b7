"""A replay against what was expected of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.config.model import Broker
from gateway.errors import ConfigError
from gateway.replaying.compare import Against, comparable, expect
from gateway.sinks.file import File, FileAlerts
from tests.core.build import config_of
from tests.replaying.alert_lines import DUST, DUSTS, LEVELS, SENSORS, TEXT, live, replayed, rows, written
from tests.sinks.alerts import rows as outbox_rows
from tests.sinks.test_mqtt import Gateway

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gateway.replaying.difference import Difference

SHADOW = TEXT.replace("blue: 75}}", "blue: 75}, mode: shadow}")


def differing(tmp_path: Path, expected: Sequence[bytes], came: Sequence[bytes], text: str = TEXT) -> Difference:
    """An expectation of these lines against those."""
    return expect(written(tmp_path / "day.alerts.jsonl", expected), came, Against.of(config_of(text)))


def test_a_replay_is_as_expected_by_what_a_live_file_sink_wrote(tmp_path: Path) -> None:
    alerts = rows()

    difference = differing(tmp_path, live(alerts), replayed(alerts))

    assert difference.ok
    assert difference.same == len(alerts) == 10
    assert difference.text().endswith("as expected, 10 changes of alerts")
    assert msgspec.json.decode(difference.json())["ok"] is True


def test_an_expectation_of_a_longer_span_is_recognised(tmp_path: Path) -> None:
    difference = differing(tmp_path, replayed(rows()), replayed(rows())[:4])

    assert difference.outside == len(difference.missing) == 6
    assert "note: 6 of the missing are from before or after what was replayed" in difference.text()


async def test_the_file_that_a_live_sink_writes_is_an_expectation(tmp_path: Path) -> None:
    """Given alerts that a `file` sink wrote, once while nothing was durable, then a replay of them is as expected."""
    alerts = rows(SHADOW)
    gateway = Gateway(Broker(url="mqtt://127.0.0.1:1"), tmp_path)
    await gateway.history.begin("b3f1")
    sink = FileAlerts("log", File(file="log"), gateway.around)
    await sink.deliver(outbox_rows(alerts[:3]))
    gateway.durable = False
    await sink.deliver(outbox_rows(alerts[3:]))
    await sink.aclose()
    await gateway.history.aclose()

    difference = expect(tmp_path / "log.jsonl", replayed(alerts), Against.of(config_of(SHADOW)))

    assert b'"durable":false' in (tmp_path / "log.jsonl").read_bytes()
    assert difference.ok
    assert difference.same == len([row for row in alerts if not row.shadow]) == 6


def test_alerts_of_shadow_rules_are_not_missed_where_a_live_sink_left_them_out(tmp_path: Path) -> None:
    alerts = rows(SHADOW)

    assert differing(tmp_path, live(alerts), replayed(alerts), SHADOW).ok
    assert differing(tmp_path, replayed(alerts), replayed(alerts), SHADOW).ok
    assert not differing(tmp_path, replayed(alerts), replayed(alerts)[:-1], SHADOW).ok


def test_what_sinks_add_evidence_and_the_configurations_spelling_are_not_compared() -> None:
    line = live(rows())[0]
    other = msgspec.json.decode(line) | {"config_sha": "x", "evidence": [1], "prev": 7, "status": "test"}

    assert comparable(msgspec.json.encode(other)) == comparable(line)


def test_a_change_that_is_missing_is_told_once_and_the_numbers_after_it_only_counted(tmp_path: Path) -> None:
    expected, came = replayed(rows(dusts=DUSTS[:2])), replayed(rows(dusts=()))

    difference = differing(tmp_path, expected, came)

    assert [(line.rule, line.change, line.line) for line in difference.missing] == [
        ("dust", "raised", 3),
        ("dust", "cleared", 4),
    ]
    assert not difference.unexpected
    assert not difference.changed
    assert len(difference.renumbered) == 4
    text = difference.text()
    assert "day.alerts.jsonl: 2 missing, 0 unexpected, 0 changed; 2 of 8" in text
    assert "− missing    05-29 04:27:30  dust air.pm25{device=a} raised blue 80 ug/m3  (line 3)" in text
    assert "4 more changes only in numbers (seq, id), which follow from these" in text


def test_a_change_that_moved_or_has_another_value_is_told_field_by_field(tmp_path: Path) -> None:
    expected = replayed(rows())
    came = replayed(rows(levels=((10, 2.9), (23, 3.5), *LEVELS[2:])))

    difference = differing(tmp_path, expected, came)

    (changed,) = [one for one in difference.changed if one.expected.change == "raised_level"]
    assert changed.fields["value"] == (3.4, 3.5)
    assert "changed 05-29 04:27:20 → 05-29 04:27:23; value 3.4 → 3.5; … " in difference.text()
    assert not difference.missing
    assert not difference.unexpected


def test_what_differs_only_in_its_numbers_is_a_difference(tmp_path: Path) -> None:
    expected = [line.replace(b'"epoch":"b3f1"', b'"epoch":"0000"') for line in replayed(rows())]

    difference = differing(tmp_path, expected, replayed(rows()))

    assert not difference.ok
    assert not difference.changed
    assert difference.text(most=2).count("epoch 0000 → b3f1") == 2
    assert "… and 8 more: --json has all" in difference.text(most=2)


def test_an_expectation_of_another_gateway_is_said_plainly(tmp_path: Path) -> None:
    expected = [line.replace(b'"gateway":"lg-017-02"', b'"gateway":"lg-099-01"') for line in replayed(rows())]

    difference = differing(tmp_path, expected, replayed(rows()))

    assert not difference.ok
    assert not difference.missing
    assert difference.text().count("\n") == 0
    assert "of gateway lg-099-01, the replay is of lg-017-02: nothing can be compared" in difference.text()


def test_an_expectation_of_another_configuration_is_said_where_something_differs(tmp_path: Path) -> None:
    raised = TEXT.replace("blue: 75", "blue: 85")
    same = differing(tmp_path, replayed(rows()), replayed(rows()), raised)
    other = differing(tmp_path, replayed(rows()), replayed(rows(raised)), raised)

    assert same.ok
    assert not other.ok
    sha = config_of(TEXT).sha[:12], config_of(raised).sha[:12]
    assert f"note: it was made with configuration {sha[0]}, the replay ran with {sha[1]}" in other.text()


def test_alerts_of_a_rule_that_is_not_configured_are_counted_not_listed(tmp_path: Path) -> None:
    only_dust = f"{SENSORS}rules:\n{DUST}"

    difference = differing(tmp_path, replayed(rows()), replayed(rows(only_dust)), only_dust)

    assert difference.gone == {"flood": 6}
    assert not difference.missing
    assert "no rule flood in this configuration: 6 changes of its alerts cannot come" in difference.text()


def test_an_empty_expectation_expects_no_alert(tmp_path: Path) -> None:
    quiet = differing(tmp_path, [], [])
    loud = differing(tmp_path, [], replayed(rows()))

    assert quiet.ok
    assert quiet.text().endswith("as expected, no alert")
    assert not loud.ok
    assert "is empty, so no alert is expected, and 10 changes of alerts came" in loud.text()
    assert "zhiwang replay … --alerts" in loud.text()


def test_broken_lines_are_all_told_with_their_place_and_what_was_found(tmp_path: Path) -> None:
    lines = replayed(rows())
    path = tmp_path / "day.alerts.jsonl"
    path.write_bytes(lines[0] + b"\n\nnot json\n[1, 2]\n" + b'{"rule": "x"}\n' + lines[1][:50])

    with pytest.raises(ConfigError) as raised:
        expect(path, lines)

    told = raised.value.findings
    assert [one.split("  ")[0] for one in told] == [f"{path}:{number}" for number in (3, 4, 5, 6)]
    assert "found 'not json'" in told[0]
    assert "the file ends in the middle of it" in told[3]
    assert "as zhiwang replay --alerts writes it" in told[1]


def test_an_expectation_from_an_editor_of_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "day.alerts.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(line + b"\r\n" for line in replayed(rows())))

    assert expect(path, replayed(rows())).ok


def test_differences_are_told_in_chinese(tmp_path: Path) -> None:
    text = differing(tmp_path, replayed(rows()), replayed(rows())[:-1]).text("zh")

    assert "缺少 1，多出 0，改变 0；预期的 10 条告警变化中 9 条一致" in text
    assert "− 缺少" in text
