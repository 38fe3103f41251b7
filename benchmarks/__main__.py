"""All benchmarks one after another, or those that are named: python -m benchmarks [NAME…]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PARTS = {"stage", "publisher", "by_hand", "__main__", "__init__"}  # of other benchmarks


def main() -> int:
    """Runs them; 1 when one of them could not be measured."""
    every = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in PARTS)
    unknown = set(sys.argv[1:]) - set(every)
    if unknown:
        print(f"found {', '.join(sorted(unknown))}; there are {', '.join(every)}", file=sys.stderr)
        return 2
    failed = False
    for name in sys.argv[1:] or every:
        failed |= subprocess.run([sys.executable, str(FOLDER / f"{name}.py")], check=False).returncode != 0
        print(flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
