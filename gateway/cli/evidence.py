"""The verb `evidence`: what pictures and clips of alerts there are, keep some, open what is sealed, make keys."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.cli.record import state_of
from gateway.cli.words import told
from gateway.errors import ConfigError, EvidenceError
from gateway.vision.evidence_store import Store

if TYPE_CHECKING:
    import argparse

EXAMPLE = "zhiwang evidence pin gateway.yaml seen-5b1c0a77d2e4f9aa"
SPOKEN = "evidence list gateway.yaml"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `evidence`."""
    verbs = parser.add_subparsers(dest="evidence_verb", required=True, metavar="VERB")
    for verb, what in (
        ("list", "what there is, oldest first"),
        ("pin", "keep an alert's evidence whatever the budget"),
        ("unpin", "let it go when room is needed"),
    ):
        one = verbs.add_parser(verb, help=what)
        one.add_argument("config", nargs="?", type=Path, metavar="CONFIG", help="the gateway's configuration")
        if verb != "list":
            one.add_argument("alert", metavar="ALERT", help="the alert's id")
        one.add_argument("--state", type=Path, metavar="DIR", help="the state folder itself, instead of CONFIG")
        one.add_argument("--json", action="store_true", help="one JSON object a line")
    opening = verbs.add_parser("open", help="open a sealed clip with the private key")
    opening.add_argument("file", type=Path, metavar="F.sealed")
    opening.add_argument("--key", type=Path, required=True, metavar="F", help="the file with the private key")
    opening.add_argument("-o", "--output", type=Path, required=True, metavar="F.ts", help="the video to write")
    key = verbs.add_parser("key", help="make a pair of keys: the private one into a file, the public one is printed")
    key.add_argument("-o", "--output", type=Path, required=True, metavar="F", help="where the private key goes")


def run(args: argparse.Namespace) -> int:
    """Run the verb."""
    if args.evidence_verb == "key":
        return _key(args.output)
    if args.evidence_verb == "open":
        return _open(args.file, args.key, args.output)
    if args.config is not None and args.state is not None:
        raise ConfigError([f"evidence: give either a configuration or --state DIR, such as: zhiwang {SPOKEN}"])
    store = Store(state_of(args.config, args.state, SPOKEN), 0)
    if args.evidence_verb == "list":
        return _list(store, as_json=args.json)
    wanted = args.evidence_verb == "pin"
    store.pin(args.alert, wanted=wanted)
    said = {"alert": args.alert, "pinned": wanted}
    words = "is kept until it is unpinned" if wanted else "may go when room is needed"
    print(msgspec.json.encode(said).decode() if args.json else f"{args.alert} {told(words)}")
    return 0


def _list(store: Store, *, as_json: bool) -> int:
    count = size = 0
    for made_s, kept in store.files():
        count, size = count + 1, size + kept.bytes
        pinned, at = store.pinned(kept.alert), datetime.fromtimestamp(made_s, UTC).isoformat(timespec="seconds")
        if as_json:
            line = {
                "alert": kept.alert,
                "kind": kept.kind,
                "sha256": kept.sha256,
                "bytes": kept.bytes,
                "made": at,
                "pinned": pinned,
                "file": str(kept.path),
            }
            print(msgspec.json.encode(line).decode())
        else:
            print(f"{at}  {kept.alert}  {kept.kind}  {kept.bytes} B  {told('pinned') if pinned else ''}  {kept.path}")
    if not as_json:
        print(told(f"{count} files, {size} bytes") if count else told("no evidence is kept"))
    return 0


def _key(output: Path) -> int:
    try:
        from nacl.public import PrivateKey  # noqa: PLC0415 - an extra
    except ImportError:
        raise EvidenceError("keys need PyNaCl: pip install 'zhiwang[evidence]'") from None
    pair = PrivateKey.generate()
    try:
        output.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise EvidenceError(f"{output} exists already; a key that is overwritten opens nothing any more") from None
    output.write_text(_text(bytes(pair)) + "\n")
    print(f"key: {_text(bytes(pair.public_key))}")
    return 0


def _open(file: Path, key: Path, output: Path) -> int:
    from gateway.vision.evidence_clip import unsealed  # noqa: PLC0415 - loads a library of pictures

    output.write_bytes(unsealed(file.read_bytes(), key.read_text(encoding="ascii", errors="replace")))
    print(told(f"{output} written"))
    return 0


def _text(raw: bytes) -> str:
    """43 letters and digits of 32 bytes."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
