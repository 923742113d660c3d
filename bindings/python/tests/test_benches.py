"""The benchmark runs; what it measures here says nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "benches" / "side_by_side.py"


def test_every_row_is_measured() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--quick"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1].strip() for line in done.stdout.splitlines()[2:]]
    assert rows == [
        "flag, static",
        "flag, targeted",
        "token, verified again",
        "permission",
        "transfers, 64 threads",
        "batches of 8,190 tuples",
        "batches of 8,190 rows of an array",
        "import",
        "installed",
        "in memory, opened and closed",
    ]
