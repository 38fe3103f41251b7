"""How many cameras so many cores carry: the sizing table of the README, by `zhiwang bench vision`.

    python benchmarks/sizing.py [--model M] [--engine E] [--seconds S]

1, 2, 4 … of this box's cores (the process and all its threads are held on them), 720p and 1080p of 25 frames a second,
all of which are decoded, 5 and 10 looks a second. Gated: only pictures in which something moved are looked at, on
streets that are quiet for four fifths of their time; not gated: every one that is due. One row each:

- carried: the most file cameras that were all looked at as often as wanted, measured beside whatever else ran;
- alone: so many would fill 85 % of the cores by the CPU that each took: the figure to use where others took much;
- p50 and p95: seconds from a frame's arrival to its detections at the door; an alert's own way is in latency.py.

Rows with twice the cores of the last measured ones are computed from them, and say so.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gateway.vision.engine_clips import SIZES, made_video, rotated

CLIP_S, QUIET = 10.0, 0.2
HEAD = "| cores | cameras | looks/s | gated | carried | alone | p50 | p95 | decoding ÷ looking | others took |"


def cells(clips: dict[tuple[str, bool], list[Path]], args: argparse.Namespace) -> list[dict[str, object]]:
    """A measured row for each number of cores, size, rate and gating."""
    there = sorted(os.sched_getaffinity(0))
    rows = []
    for cores in [count for count in (1, 2, 4, 8, 16) if count <= len(there)]:
        for size, fps, gated in itertools.product(("720p", "1080p"), (5, 10), (False, True)):
            command = [sys.executable, "-m", "gateway", "bench", "vision", *map(str, clips[size, gated]), "--json"]
            command += ["--fps", str(fps), "--model", args.model, "--seconds", str(args.seconds)]
            command += ["--engine", args.engine, *(["--gated"] if gated else [])]
            held = ["taskset", "-c", ",".join(map(str, there[:cores]))]
            ran = subprocess.run([*held, *command], check=True, stdout=subprocess.PIPE, text=True)
            row = json.loads(ran.stdout) | {"size": size, "gated": gated}
            print(line(row), flush=True)
            rows.append(row)
    return rows


def line(row: dict[str, object]) -> str:
    """A row of the table."""
    cost, look = float(str(row["decode"])), float(str(row["inference"]))
    figures = f"{row['cameras']} | {row['alone']} | {row['p50_s']:.2f} s | {row['p95_s']:.2f} s"
    share = f"{cost:.2f} ÷ {look:.2f} cores"
    gated = "yes" if row["gated"] else "no"
    return f"| {row['cores']} | {row['size']} | {row['fps']:g} | {gated} | {figures} | {share} | {row['others']:.0%} |"


def main() -> None:
    """Prints the table, as Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="ssdlite-mobilenet-v2-coco")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    print(f"{args.model}, engine {args.engine}, load {os.getloadavg()[0]:.1f}\n\n{HEAD}\n{'|---' * 11}|", flush=True)
    with tempfile.TemporaryDirectory(prefix="zhiwang-sizing-") as folder:
        clips = {}
        for size, gated in itertools.product(("720p", "1080p"), (False, True)):
            where = Path(folder, f"{size}-{gated}")
            where.mkdir()
            clips[size, gated] = rotated(made_video(where, SIZES[size], CLIP_S, busy=QUIET if gated else 1.0))
        rows = cells(clips, args)
    most = max(int(str(row["cores"])) for row in rows)
    for row in rows:
        if row["cores"] == most:
            gated = "yes" if row["gated"] else "no"
            alone = 2 * int(str(row["alone"]))
            print(f"| {2 * most}, computed | {row['size']} | {row['fps']:g} | {gated} | – | {alone} | – | – | – | – |")


if __name__ == "__main__":
    main()
