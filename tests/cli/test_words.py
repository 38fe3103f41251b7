"""The command line under a Chinese locale."""

from __future__ import annotations

import argparse
import ast
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from ruamel.yaml import YAML

from gateway.app import Summary
from gateway.cli import VERBS, main, module_of
from gateway.cli.parser import Parser
from gateway.cli.words import PLACE, finding, paragraphs, pattern_of, summed, table, told
from gateway.config.load import loads
from gateway.errors import ConfigError
from gateway.language import of_environment
from tests.config.kinds import REGISTRY
from tests.config.texts import CORNER

ROOT = Path(__file__).resolve().parents[2]
SLIPS = YAML(typ="safe", pure=True).load(ROOT / "tests/config/slips.yaml")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
MOST_PIECES = 4
COMMON = ("found ", "unknown", "did you mean", "missing", "allowed", " is written", "such as ", "keys ", "one of ")


@pytest.fixture
def in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
    ],
)
def test_the_language_is_the_locales(environ: dict[str, str], language: str) -> None:
    assert of_environment(environ) == language


@pytest.mark.usefixtures("in_chinese")
def test_help_is_chinese_with_its_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Given a Chinese locale, the list of verbs and a verb's help have Chinese headings, summaries and an example."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("用法:")
    for verb in VERBS:
        (line,) = re.findall(rf"^ +{verb} +(.*)$", out, re.MULTILINE)
        assert CHINESE.search(line), verb
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    assert "例:zhiwang check gateway.yaml --print\n\n读一份配置" in capsys.readouterr().out


@pytest.mark.usefixtures("in_chinese")
@pytest.mark.parametrize("verb", VERBS)
def test_what_stands_below_a_verbs_help_has_its_chinese(verb: str) -> None:
    """Each paragraph and each last column of a table; commands stay as they are typed."""
    parser = Parser()
    module_of(verb).arguments(parser)
    text, shown = parser.epilog or "", parser.format_help()
    assert [said for _, said in paragraphs(text) if said and not CHINESE.search(told(said))] == []
    assert [said for _, said in paragraphs(text) if told(said) not in shown] == []
    assert [kept for kept, _ in paragraphs(text) if kept not in shown] == []


def test_a_text_of_several_lines_is_told_by_paragraphs_and_rows() -> None:
    text = "Two lines\nof one.\n\n  run this  what it does\n      only typed\n.log .txt   a kind\nAnd on."
    assert paragraphs(text) == [
        ("", "Two lines of one."),
        ("", ""),
        ("  run this  ", "what it does"),
        ("      only typed", ""),
        (".log .txt   ", "a kind"),
        ("", "And on."),
    ]


def _helps(parser: argparse.ArgumentParser) -> list[str]:
    """What a parser and those below it say of their arguments."""
    said: list[str] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said += [str(choice.help) for choice in action._choices_actions]
            said += [text for below in action.choices.values() for text in _helps(below)]
        elif action.help not in {None, argparse.SUPPRESS}:
            said.append(str(action.help))
    return said


@pytest.mark.usefixtures("in_chinese")
@pytest.mark.parametrize("verb", VERBS)
def test_every_arguments_help_has_its_chinese(verb: str) -> None:
    parser = Parser()
    module_of(verb).arguments(parser)
    said = [text for text in _helps(parser) if not text.startswith("default: ")]
    assert [text for text in said if not CHINESE.search(told(text))] == []


@pytest.mark.usefixtures("in_chinese")
@pytest.mark.parametrize("slip", SLIPS, ids=lambda slip: slip["written"].split("\n")[0])
def test_a_slip_is_told_in_chinese_at_its_place(slip: dict[str, str]) -> None:
    """Given each slip that the tests know, its place and path stay, and the common words of its problem are Chinese."""
    with pytest.raises(ConfigError) as caught:
        loads(CORNER.replace(slip["was"], slip["written"]), Path("/etc"), REGISTRY)
    (english,) = caught.value.findings
    shown = finding(english)
    assert shown.partition("  ")[0] == english.partition("  ")[0]
    assert CHINESE.search(shown), shown
    before_names = shown.partition("(")[0]
    assert [word for word in COMMON if word in before_names] == [], shown


GROUND = """\
gateway: a
brokers: {here: {url: "mqtt://h"}}
sensors: {s: {mqtt: here, topic: x, plain: v}}
rules: {r: {threshold: s.v, levels: {red: 1}}}
"""


@pytest.mark.usefixtures("in_chinese")
def test_check_speaks_chinese_to_people_and_english_to_machines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a good and a bad file, findings and the last line are Chinese; --json is as everywhere."""
    file = tmp_path / "gateway.yaml"
    file.write_text(GROUND, encoding="utf-8")
    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{file}: a · 1 个代理、1 个传感器、没有摄像头、1 条规则、没有出口 · 配置 ")
    assert out.endswith(" · 没有错误、没有警告\n")
    file.write_text(GROUND.replace("topic", "topik"), encoding="utf-8")
    assert main(["check", str(file)]) == 2
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{file}:3  sensors.s.topik: 没有这个键;是不是 topic? (mqtt plain 传感器的键:mqtt, topic")
    assert last == f"{file}: 1 处错误、没有警告"
    assert main(["check", "--json", str(file)]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["findings"][0]["problem"].startswith("unknown key; did you mean topic?")
    assert main(["run", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"{file}:3  sensors.s.topik: 没有这个键")


@pytest.mark.usefixtures("in_chinese")
def test_errors_and_wrong_usage_are_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["outbox", "stat", "--state", str(tmp_path)]) == 1
    told_ = f"zhiwang: {tmp_path} 里没有 outbox.sqlite;网关运行时会建立它。这是它的状态目录吗?\n"
    assert capsys.readouterr().err == told_
    assert main(["demo", "--headless", "--seconds", "3"]) == 2
    assert capsys.readouterr().err == "--seconds:写的是 3;--headless 至少要 15\n"
    with pytest.raises(SystemExit) as ended:
        main(["outbox", "peek", "-n", "0"])
    assert ended.value.code == 2
    assert "错误:参数 -n/--rows:写的是 '0'; 要写 1 或更大的整数" in capsys.readouterr().err


@pytest.mark.usefixtures("in_chinese")
def test_the_demos_summary_has_its_words() -> None:
    assert all(CHINESE.search(summed(name)) for name in Summary.__struct_fields__)


def test_every_text_that_has_a_chinese_stands_in_the_program() -> None:
    """Given a sentence that was changed, its Chinese would silently stay behind: so each is looked for.

    A fragment may be put together from parts, but not from many.
    """
    said = "\n".join(
        node.value
        for path in [*(ROOT / "gateway").rglob("*.py"), Path(argparse.__file__)]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    system = {os.strerror(number) for number in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.ENOSPC)}
    said += said.replace("\n", " ")  # what is said in several lines is put into Chinese as one
    texts = [text for text in table().sentences if text not in system]
    assert [text for text in texts if text not in said] == []
    parts = [part for text in table().fragments for part in PLACE.split(text.removeprefix("^"))[::2]]
    assert [part for part in parts if part not in system and _pieces(part, said) > MOST_PIECES] == []


def _pieces(text: str, said: str) -> int:
    """Of how many things that are said a text can be made, taking the longest each time."""
    count = 0
    while text:
        count += 1
        length = next((n for n in range(len(text), 0, -1) if text[:n] in said), 1)
        text = text[length:]
    return count


def test_a_fragments_chinese_has_the_places_of_its_english() -> None:
    for english, ours in table().fragments.items():
        assert set(PLACE.findall(ours)) <= set(PLACE.findall(english)), english
        assert pattern_of(english).groups == len(PLACE.findall(english))
        assert CHINESE.search(ours) or not re.search(r"[a-z]{3}", english), english


def test_help_loads_no_arrays_and_no_page() -> None:
    program = (
        "import sys; from gateway.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted({'numpy', 'rich', 'ruamel.yaml', 'aiohttp'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_tables_are_whole() -> None:
    assert msgspec.to_builtins(table())["nouns"].keys() >= {"broker", "sensor", "camera", "rule", "sink"}
