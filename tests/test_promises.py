"""What the README and the other pages promise is there: commands, links, configurations, nothing of one machine."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from typing import TYPE_CHECKING

import pytest

from gateway.cli import VERBS
from gateway.config.load import loads
from gateway.registry import registry
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_make_target_and_verb_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make ([a-z][a-z-]*)|^make ([a-z][a-z-]*)", text, re.MULTILINE):
        name = target[0] or target[1]
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), f"make {name}"
    for verb in re.findall(r"`zhiwang ([a-z]+)|bin/zhiwang ([a-z]+)", text):
        assert (verb[0] or verb[1]) in VERBS, verb


def test_every_verb_that_the_program_tells_people_to_use_is_there() -> None:
    named: dict[str, str] = {}
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for verb in re.findall(r"[`(:&] ?zhiwang ([a-z]+)", node.value):
                    named[verb] = str(path.relative_to(ROOT))
    assert {"check", "models"} <= set(named)
    assert not {verb: where for verb, where in named.items() if verb not in VERBS}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_file_of_the_program_that_a_page_names_is_there(page: Path) -> None:
    for target in re.findall(r"`(gateway/[\w/.]*)`", page.read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_link_into_the_repository_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES[:2], ids=IDS[:2])
def test_a_whole_configuration_in_the_readme_is_one_that_check_accepts(page: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        config = loads(block, tmp_path, registry())
        assert config.rules


def test_both_readmes_show_the_same_configuration_but_for_its_comments() -> None:
    first, second = (
        re.sub(r"\s+#.*", "", "".join(re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)))
        for page in PAGES[:2]
    )
    assert first == second


def test_both_readmes_have_the_same_parts_commands_and_links() -> None:
    def parts(page: Path) -> dict[str, list[str]]:
        text = page.read_text(encoding="utf-8")
        return {
            "headings": re.findall(r"^#+", text, re.MULTILINE),
            "links": [target for target in re.findall(r"\]\(([^)]+)\)", text) if not re.search("README|img/", target)],
            "commands": re.findall(r"(?:bin/)?zhiwang [a-z]+(?: --[a-z]+)*|make [a-z]+(?: ARGS=\S+)?", text),
            "rows": re.findall(r"^\|", text, re.MULTILINE),
            "summary": re.findall(r"^messages .*", text, re.MULTILINE),
        }

    first, second = (parts(page) for page in PAGES[:2])
    assert first == second


def test_the_lock_pins_every_dependency_with_a_hash_and_names_no_index() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(d for extra in ("vision", "console", "demo", "dev") for d in project["optional-dependencies"][extra]),
    ]
    lock = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert "://" not in lock
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==\S+", lock, re.MULTILINE)
    for requirement in wanted:
        name = re.split(r"[\[<>=!~; ]", requirement)[0]
        assert _normal(name) in pinned, name
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_nothing_is_imported_that_the_lock_does_not_install() -> None:
    """On a machine where somebody installed a package by hand every other test would pass without it."""
    lock = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    pinned = {_normal(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)}
    homes = packages_distributions()
    beside = {path.stem for path in (ROOT / "benchmarks").glob("*") if path.suffix == ".py" or any(path.glob("*.py"))}
    ours = {"gateway": {"gateway"}, "tests": {"gateway", "tests", "gi"}, "benchmarks": {"gateway", "tests", *beside}}
    for folder, there in ours.items():  # gi: Debian's Python; a script of benchmarks/ finds what lies beside it
        for path in (ROOT / folder).rglob("*.py"):
            for name in _imported(path) - there - sys.stdlib_module_names:
                homed = {_normal(home) for home in homes.get(name, [name])}
                assert homed & pinned, f"{path.relative_to(ROOT)} imports {name}"


def _imported(path: Path) -> set[str]:
    """The top-level names of all absolute imports in a file, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def _normal(name: str) -> str:
    """A distribution's name as the lock writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_demo_installs_versions_that_the_tests_ran_with() -> None:
    tested = set(re.findall(r"^\S+==.*(?= \\$)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE))
    shown = set(re.findall(r"^\S+==.*(?= \\$)", (ROOT / "requirements" / "demo.txt").read_text(), re.MULTILINE))
    assert shown
    assert shown <= tested
