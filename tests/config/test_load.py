"""A whole configuration: what it decodes to, and what each slip says, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gateway.config.load import explain, load, loads, review, text_of
from gateway.config.printed import printed
from gateway.config.scalars import Duration, Gate
from gateway.errors import ConfigError
from tests.config.kinds import REGISTRY, Count, Json, Threshold
from tests.config.texts import CORNER

BASE = Path("/etc/zhiwang")
LINES = CORNER.splitlines()
SLIPS = YAML(typ="safe", pure=True).load(Path(__file__).with_name("slips.yaml"))


def findings(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, BASE, REGISTRY)
    return caught.value.findings


def corner_but(old: str, new: str) -> str:
    assert CORNER.count(old) == 1, old
    return CORNER.replace(old, new)


def test_the_corner_decodes_to_typed_parts() -> None:
    config = loads(CORNER, BASE, REGISTRY)
    assert config.gateway == "lg-017-02"
    assert config.sensors["air"].codec == Json(json={"time": "ts", "pm25": "data.pm2_5", "rh": "data.hum"})
    assert config.sensors["air"].common.every == Duration(60_000_000_000)
    assert config.sensors["water"].common.valid == {"level": (-1.0, 8.0)}
    flood = config.rules["flood"].kind
    assert isinstance(flood, Threshold)
    assert flood.levels == {"yellow": 2.8, "orange": 3.3, "red": 3.8}
    assert config.rules["dust"].common.unless == Gate.parse("air.rh > 95")
    assert config.rules["bank"].kind == Count(count="person", in_="river.bank", levels={"yellow": 1, "orange": 5})
    assert config.rules["bank"].common.mode == "shadow"
    assert config.cameras["river"].zones["bank"][0] == (0.0, 0.6)
    assert config.sinks["alerts"].key == "mqtt"
    assert config.base == BASE


def test_the_least_configuration_is_a_name() -> None:
    config = loads("gateway: a\n", BASE, REGISTRY)
    assert (config.timezone, config.sensors, config.http.listen) == ("UTC", {}, "127.0.0.1:8080")


def test_sections_whose_entries_are_commented_out_are_empty() -> None:
    config = loads("gateway: a\nsensors:\n#  air: …\nrules:\nbrokers:\nhttp:\n", BASE, REGISTRY)
    assert (config.sensors, config.rules, config.brokers) == ({}, {}, {})


@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip["written"].split("\n")[0])
def test_one_slip_is_one_line_with_its_place_and_its_fix(slip: dict[str, str]) -> None:
    told = findings(corner_but(slip["was"], slip["written"]))
    place, said = slip["said"].split("…", 1)
    assert len(told) == 1, told
    assert told[0].startswith(place)
    assert said in told[0]


def test_every_error_is_told_at_once_in_the_order_of_the_lines() -> None:
    text = CORNER
    for old, new in [
        ("timezone: Asia/Shanghai", "timezone: Mars"),
        ("every: 60 s", "every: 60"),
        ("detect: rtsp", "loop: maybe\n    detect: rtsp"),
        ("clear_by: 0.10", "clear_by: much"),
        ("unless: air.rh > 95", "unless: air.rh >> 95"),
        ("alerts: {mqtt: city}", "alerts: {mqtt: town}"),
    ]:
        text = text.replace(old, new)
    told = findings(text)
    assert [line.split()[1].rstrip(":") for line in told] == [
        "timezone",
        "sensors.air.every",
        "cameras.river.loop",
        "rules.flood.clear_by",
        "rules.dust.unless",
        "sinks.alerts.mqtt",
    ]


def test_a_wrong_part_makes_no_second_error_where_it_is_referred_to() -> None:
    told = findings(corner_but("plain: level", "plain: 3"))
    assert told == ['gateway.yaml:19  sensors.water.plain: found the number 3; a text is written here: write "3"']


def test_a_sink_may_not_have_the_name_of_the_gateways_own() -> None:
    told = findings(CORNER.replace("  influx: {v2", "  history: {v2"))
    line = CORNER[: CORNER.index("  influx: {v2")].count("\n") + 1
    assert told == [f"gateway.yaml:{line}  sinks.history: the name history is the gateway's own sink's; choose another"]


def test_a_rule_that_waits_for_one_that_is_off_is_told() -> None:
    told = findings(corner_but("mode: shadow", "mode: off").replace("unless: air.rh > 95", "only_while: bank"))
    problem = "rule bank has mode: off and never raises; turn it on or leave only_while out"
    assert told == [f"gateway.yaml:37  rules.dust.only_while: {problem}"]


def test_a_circle_of_three_rules_is_told_once() -> None:
    text = (
        corner_but("unless: air.rh > 95", "unless: bank")
        .replace("mode: shadow", "only_while: flood")
        .replace("for: 30 s", "unless: dust")
    )
    circles = [line for line in findings(text) if "circle" in line]
    assert circles == [
        "gateway.yaml:44  rules.bank.only_while: rules wait for one another in a circle: bank → flood → dust → bank"
    ]


def test_a_password_in_a_url_is_a_warning_that_names_the_line_and_never_the_password(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(corner_but("rtsp://192", "rtsp://admin:hunter2@192"), encoding="utf-8")
    reviewed = review(file, REGISTRY)
    assert reviewed.config is not None
    told = [str(finding) for finding in reviewed.findings]
    assert len(told) == 1
    assert told[0].startswith(f"{file}:23  warning: cameras.river.detect: a password stands inline in the URL; take it")
    assert "hunter2" not in text_of(file) + printed(explain(file, REGISTRY))


@pytest.mark.parametrize("slip", ["password: hunter2", "password: [hunter2]", "pasword: hunter2", "user: {a: hunter2}"])
def test_no_finding_repeats_a_secret(slip: str) -> None:
    assert "hunter2" not in "\n".join(findings(corner_but("password: {file: secrets/city-mqtt}", slip)))
    broken = corner_but("url: mqtts://mq.longgang.example:8883", "url: http://u:hunter2@x")
    assert "hunter2" not in "\n".join(findings(broken))


def test_the_sha_names_what_decides_and_nothing_of_this_box(monkeypatch: pytest.MonkeyPatch) -> None:
    sha = loads(CORNER, BASE, REGISTRY).sha
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/zhiwang")
    assert loads("# a comment\n" + CORNER, Path("/elsewhere"), REGISTRY).sha == sha
    assert loads(corner_but("for: 30 s", "for: 30000 ms"), BASE, REGISTRY).sha == sha
    assert loads(CORNER + "outbox: {linger: 1 s}\n", BASE, REGISTRY).sha == sha
    assert loads(CORNER + "state: /srv/zhiwang\n", BASE, REGISTRY).sha == sha
    assert loads(corner_but("for: 30 s", "for: 31 s"), BASE, REGISTRY).sha != sha


def test_the_state_folder_is_the_one_given_or_systemds_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("HOME", "/home/ops")
    assert loads("gateway: a\n", BASE, REGISTRY).state == Path("/home/ops/.local/state/zhiwang/a")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/zhiwang")
    assert loads("gateway: a\n", BASE, REGISTRY).state == Path("/var/lib/zhiwang")
    assert loads("gateway: a\nstate: here\n", BASE, REGISTRY).state == BASE / "here"


def test_the_effective_configuration_says_where_each_value_came_from(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(CORNER, encoding="utf-8")
    text = printed(explain(file, REGISTRY))
    rows = {line.split("#")[0].strip(): line.split("# ")[-1] for line in text.splitlines()}
    assert rows["every: 60 s"] == f"{file}:15"
    assert rows["keepalive: 30 s"] == "default"
    assert rows["over: mean 10 min"] == f"{file}:35"


def test_what_is_printed_and_what_is_recorded_read_back_as_the_same_configuration(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(CORNER, encoding="utf-8")
    config = load(file, REGISTRY)
    assert loads(printed(explain(file, REGISTRY)), tmp_path, REGISTRY).sha == config.sha
    assert loads(text_of(file), tmp_path, REGISTRY).sha == config.sha


VALUES = st.sampled_from(
    ["", "x", "3", "-1", "[]", "{}", "[1, 2]", "{a: b}", "true", "60 s", "a.b > 3", ".inf", "{file: x}", '"0017"']
)


@settings(deadline=None)
@given(st.integers(0, len(LINES) - 1), VALUES, st.booleans())
def test_any_value_anywhere_is_taken_or_told_and_never_an_exception(line: int, value: str, drop: bool) -> None:
    key, colon, _ = LINES[line].partition(":")
    changed = [*LINES[:line], *([] if drop else [f"{key}{colon} {value}"]), *LINES[line + 1 :]]
    try:
        config = loads("\n".join(changed), BASE, REGISTRY)
    except ConfigError as error:
        told = error.findings
    else:
        written = YAML(typ="safe", pure=True).load("\n".join(changed))
        told = [f"gateway.yaml: {config.gateway}"]
        for section in ("brokers", "sensors", "cameras", "rules", "sinks"):
            assert list(getattr(config, section)) == list(written.get(section) or {})
    assert told
    assert all(finding.startswith("gateway.yaml:") for finding in told)
