"""The schemas that editors and subscribers use, and the commands that print them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
from ruamel.yaml import YAML

from gateway.cli import main
from gateway.config import model
from gateway.config.load import review
from gateway.config.schema import schema, schema_text
from gateway.registry import registry
from tests.config.kinds import REGISTRY
from tests.config.texts import CORNER

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path for path in (ROOT / "configs").glob("*.yaml") if path.name != "prometheus-rules.yaml")
CHECK = jsonschema.Draft202012Validator

ALERT = {
    "schema": 1,
    "id": "flood-3k2m",
    "code": "LG17-4K2M",
    "epoch": "b3f1",
    "seq": 812,
    "prev": 790,
    "status": "actual",
    "class": "city",
    "change": "raised_level",
    "state": "active_unacknowledged",
    "severity": "severe",
    "severity_max": "severe",
    "colour": "orange",
    "rule": "flood",
    "subject": "water.level",
    "community": "330383017",
    "place": {"zh": "江口", "en": "Jiangkou", "wgs84": [120.5491, 27.5815], "uncertainty_m": 5},
    "started": "2026-08-14T02:02:07+08:00",
    "changed": "2026-08-14T02:14:00+08:00",
    "late_s": 0.2,
    "value": 3.32,
    "unit": "m",
    "limit": 3.30,
    "recent": {"step_s": 30, "values": [2.90, None, 3.32]},
    "coverage_1h": 1.0,
    "title": {"zh": "河道水位", "en": "River level"},
    "text": {"zh": "…", "en": "…"},
    "do": {"zh": "…", "en": "…"},
    "evidence": [{"kind": "image/jpeg", "sha256": "…", "topic": "…", "taken": "2026-08-14T02:14:00+08:00"}],
    "config_sha": "…",
    "model_sha": None,
}


def read(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_passes_check_and_its_schema(path: Path) -> None:
    assert [str(finding) for finding in review(path, registry()).findings] == []
    CHECK(schema(registry())).validate(read(path.read_text(encoding="utf-8")))


def test_the_schema_beside_the_examples_is_current() -> None:
    written = (ROOT / "configs/gateway.schema.json").read_text(encoding="utf-8")
    assert written == schema_text(registry()), "run: zhiwang schema config > configs/gateway.schema.json"


def test_the_schema_is_one_itself_and_takes_the_corner() -> None:
    CHECK.check_schema(schema(REGISTRY))
    CHECK(schema(REGISTRY)).validate(read(CORNER))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("levels: {yellow: 2.80", "levls: {yellow: 2.80"),
        ("levels: {yellow: 2.80", "levels: {purple: 2.80"),
        ("for: 30 s", "for: 30"),
        ("mode: shadow", "mode: shdow"),
        ("  air:\n    mqtt: here\n", "  air:\n    modbus: here\n"),
        ("    plain: level\n", "    plain: level\n    json: {level: a}\n"),
        ("password: {file: secrets/city-mqtt}", "password: hunter2"),
        ("password: {file: secrets/city-mqtt}", "password: {file: a, env: B}"),
        ("gcj02: [120.55310, 27.57820]", "gcj02: [120.55310]"),
        ("gcj02: [120.55310, 27.57820]", "position: [120.55310, 27.57820]"),
        ("timezone: Asia/Shanghai", "timezon: Asia/Shanghai"),
        ("  flood:\n", "  Flood!:\n"),
        ("  alerts: {mqtt: city}", "  alerts: {mqtt: city, picture: 60 kB}"),
    ],
)
def test_an_editor_marks_a_slip(old: str, new: str) -> None:
    assert CORNER.count(old) == 1
    assert not CHECK(schema(REGISTRY)).is_valid(read(CORNER.replace(old, new)))


def test_the_commands_print_the_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "config"]) == 0
    assert capsys.readouterr().out == schema_text(registry())
    assert main(["schema", "alert"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "zhiwang alert"


def test_the_alert_of_the_plan_fits_the_alert_schema_and_a_damaged_one_does_not() -> None:
    alert_schema = json.loads((ROOT / "gateway/cli/schema_alert.json").read_text(encoding="utf-8"))
    CHECK.check_schema(alert_schema)
    CHECK(alert_schema).validate(ALERT)
    assert set(ALERT) <= set(alert_schema["properties"])
    for slip in ({"severity": "orange"}, {"change": "rose"}, {"seq": "812"}, {"title": "River level"}):
        assert not CHECK(alert_schema).is_valid(ALERT | slip)
    assert not CHECK(alert_schema).is_valid({key: value for key, value in ALERT.items() if key != "id"})


def test_the_documentation_names_every_key() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9_]+):?[^`]*`", text)) | set(re.findall(r"\b([a-z0-9_]+):", text))
    known = registry()
    structs: list[type[msgspec.Struct]] = [
        kind.struct for group in (known.transports, known.codecs, known.rules, known.sinks) for kind in group.values()
    ]
    structs += [item for item in vars(model).values() if isinstance(item, type) and issubclass(item, model.Struct)]
    keys = {field.encode_name for struct in structs for field in msgspec.structs.fields(struct)}
    assert sorted(keys - named) == []
