"""What the README and the other pages promise is there: commands, links, configurations, nothing of one machine."""

from __future__ import annotations

import re
import tomllib
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
        assert re.sub(r"[-_.]+", "-", name).lower() in pinned, name
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_demo_installs_versions_that_the_tests_ran_with() -> None:
    tested = set(re.findall(r"^\S+==.*(?= \\$)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE))
    shown = set(re.findall(r"^\S+==.*(?= \\$)", (ROOT / "requirements" / "demo.txt").read_text(), re.MULTILINE))
    assert shown
    assert shown <= tested
