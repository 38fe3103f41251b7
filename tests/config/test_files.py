"""Several files that become one configuration: who wins, what is missing, what cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.config.load import explain, load, review, text_of
from gateway.errors import ConfigError
from tests.config.kinds import REGISTRY, Threshold
from tests.config.texts import CORNER

if TYPE_CHECKING:
    from pathlib import Path

RULE = "gateway: a\nsensors: {s: {folder: x, plain: v}}\nrules: {r: {threshold: s.v, levels: {yellow: 1, red: 2}}}\n"


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / "gateway.yaml"


def findings(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, REGISTRY)
    return [line.replace(f"{path.parent}/", "") for line in caught.value.findings]


def levels(path: Path, overlay: Path | None = None) -> dict[str, float]:
    kind = load(path, REGISTRY, overlay=overlay).rules["r"].kind
    assert isinstance(kind, Threshold)
    return kind.levels


def test_maps_merge_and_the_including_file_wins(tmp_path: Path) -> None:
    city = "timezone: Asia/Shanghai\nlog: {level: debug, format: json}\nbrokers: {here: {url: 'mqtt://h:1'}}\n"
    path = write(tmp_path, gateway="include: [city.yaml]\ngateway: a\nlog: {level: error}\n", city=city)
    config = load(path, REGISTRY)
    assert (config.timezone, config.log.level, config.log.format) == ("Asia/Shanghai", "error", "json")
    assert list(config.brokers) == ["here"]


def test_of_two_included_files_the_later_wins_and_they_may_include_others(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        gateway="include: [one.yaml, two.yaml]\ngateway: a\n",
        one="timezone: Asia/Tokyo\n",
        two="include: [three.yaml]\n",
        three="timezone: Asia/Seoul\n",
    )
    assert load(path, REGISTRY).timezone == "Asia/Seoul"


def test_lists_are_replaced_whole(tmp_path: Path) -> None:
    camera = "cameras: {c: {detect: a.mp4, zones: {z: [[0, 0], [1, 0], [1, 1], [0, 1]]}}}\n"
    path = write(
        tmp_path,
        gateway="include: [city.yaml]\ngateway: a\ncameras: {c: {zones: {z: [[0, 0], [1, 0], [1, 1]]}}}\n",
        city=camera,
    )
    assert len(load(path, REGISTRY).cameras["c"].zones["z"]) == 3


def test_an_empty_entry_removes_what_an_included_file_has(tmp_path: Path) -> None:
    path = write(tmp_path, gateway="include: [city.yaml]\ngateway: b\nrules: {r: }\n", city=RULE)
    assert load(path, REGISTRY).rules == {}


def test_a_finding_names_the_included_file_and_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, gateway="include: [city.yaml]\ngateway: a\n", city="log:\n  levl: info\n")
    assert findings(path)[0].startswith("city.yaml:2  log.levl: unknown key; did you mean level?")


def test_local_yaml_beside_the_file_holds_and_check_says_what_it_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, gateway=RULE, local="rules: {r: {levels: {red: 3}}}\n")
    assert levels(path) == {"yellow": 1, "red": 3}
    told = [str(finding).replace(f"{tmp_path}/", "") for finding in review(path, REGISTRY).findings]
    problem = "local.yaml:1 says otherwise and holds; what stands here has no effect"
    assert told == [f"gateway.yaml:3  warning: rules.r.levels.red: {problem}"]


def test_an_overlay_holds_over_everything(tmp_path: Path) -> None:
    path = write(
        tmp_path, gateway=RULE, local="rules: {r: {levels: {red: 3}}}\n", sweep="rules: {r: {levels: {red: 4}}}\n"
    )
    assert levels(path, tmp_path / "sweep.yaml") == {"yellow": 1, "red": 4}


def test_where_each_value_came_from_follows_it_through_the_files(tmp_path: Path) -> None:
    path = write(tmp_path, gateway="include: [city.yaml]\ngateway: a\n", city="\ntimezone: Asia/Tokyo\n")
    origins = {line.path: line.origin for line in explain(path, REGISTRY)}
    assert origins[("timezone",)] == f"{tmp_path}/city.yaml:2"
    assert text_of(path) == "timezone: Asia/Tokyo\ngateway: a\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("include: [nowhere.yaml]\ngateway: a\n", "gateway.yaml:1  include: no file nowhere.yaml; write its path"),
        ("gateway: a\ninclude: city.yaml\n", "gateway.yaml:2  include: found the text 'city.yaml'; include: is a list"),
        ("gateway: a\ninclude: [[x]]\n", "gateway.yaml:2  include: found a list of 1; include: is a list of files"),
        ("include: [gateway.yaml]\ngateway: a\n", "gateway.yaml:1  include: files include one another in a circle"),
        ("", "gateway.yaml:1  is empty; the least is: gateway: <name>"),
        ("- a\n", "gateway.yaml:1  found a list of 1; a configuration is a map"),
        ("include: []\n", "gateway.yaml:1  gateway is missing; write gateway: a text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_a_finding(tmp_path: Path, text: str, said: str) -> None:
    told = findings(write(tmp_path, gateway=text))
    assert len(told) == 1
    assert told[0].startswith(said)


def test_a_circle_through_another_file_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, gateway="include: [city.yaml]\ngateway: a\n", city="include: [gateway.yaml]\n")
    assert findings(path) == [
        "city.yaml:1  include: files include one another in a circle: gateway.yaml → city.yaml → gateway.yaml"
    ]


def test_a_file_that_is_not_there_and_one_that_is_a_folder_are_told(tmp_path: Path) -> None:
    assert findings(tmp_path / "gateway.yaml") == ["gateway.yaml:1  cannot be read: No such file or directory"]
    (tmp_path / "folder").mkdir()
    assert findings(tmp_path / "folder") == ["folder:1  cannot be read: Is a directory"]


def test_a_file_saved_as_gbk_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes("gateway: a\nplace: {zh: 江口}\n".encode("gbk"))
    assert findings(path) == ["gateway.yaml:2  found the byte 0xbd, which is not UTF-8 (GBK?); save the file as UTF-8"]


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + CORNER.replace("\n", "\r\n").encode())
    plain = tmp_path / "plain.yaml"
    plain.write_text(CORNER, encoding="utf-8")
    assert load(path, REGISTRY).sha == load(plain, REGISTRY).sha


def test_errors_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, gateway="include: [a.yaml, b.yaml]\ngateway: a\nlgo: {}\n", a="x: 007\n", b="\tx: 1\n")
    assert [line.split("  ")[0] for line in findings(path)] == ["a.yaml:1", "a.yaml:1", "b.yaml:1", "gateway.yaml:3"]
