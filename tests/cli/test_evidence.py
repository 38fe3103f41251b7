"""`zhiwang evidence`: what there is, what is kept, and what is sealed for whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gateway.cli import main
from gateway.vision.evidence_clip import sealed
from gateway.vision.evidence_store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_it_lists_and_pins_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path, 10_000_000)
    sha256 = store.keep("seen-1", "image/jpeg", b"a picture", set())
    where = ["--state", str(tmp_path), "--json"]

    assert main(["evidence", "pin", *where, "seen-1"]) == 0
    assert json.loads(capsys.readouterr().out) == {"alert": "seen-1", "pinned": True}
    assert main(["evidence", "list", *where]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert (listed["alert"], listed["sha256"], listed["bytes"], listed["pinned"]) == ("seen-1", sha256, 9, True)
    assert main(["evidence", "unpin", *where, "seen-1"]) == 0
    assert not store.pinned("seen-1")
    assert main(["evidence", "pin", *where, "seen-2"]) == 1
    assert "there is no evidence of seen-2" in capsys.readouterr().err


def test_what_is_sealed_with_the_printed_key_is_opened_with_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("nacl")
    private, clip, out = tmp_path / "private.key", tmp_path / "clip.sealed", tmp_path / "clip.ts"
    assert main(["evidence", "key", "-o", str(private)]) == 0
    public = capsys.readouterr().out.strip().removeprefix("key: ")
    clip.write_bytes(sealed(b"as it came", public))

    assert main(["evidence", "open", str(clip), "--key", str(private), "-o", str(out)]) == 0
    assert out.read_bytes() == b"as it came"
    assert private.stat().st_mode & 0o077 == 0
    assert main(["evidence", "key", "-o", str(private)]) == 1
    assert "exists already" in capsys.readouterr().err
