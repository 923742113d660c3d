"""The examples do what they say."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from platform_core import Platform

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(folder: Path, *arguments: str) -> str:
    """What a program prints, in a folder of its own."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*_with_*.py") if path.name[:5] != "test_"))
def test_a_program_prints_what_it_says(name: str, tmp_path: Path) -> None:
    _, _, comment = (EXAMPLES / name).read_text().partition("# Prints:\n")
    expected = "".join(line.removeprefix("# ") for line in comment.splitlines(keepends=True))
    assert expected and run(tmp_path, str(EXAMPLES / name)) == expected


def test_the_tests_of_an_application_have_the_fixture(tmp_path: Path) -> None:
    example = str(EXAMPLES / "test_with_pytest.py")
    assert "2 passed" in run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(tmp_path), example)


def test_a_fresh_platform_is_there_in_less_than_20_ms() -> None:
    def once() -> float:
        begin = time.perf_counter()
        with Platform.in_memory():
            return time.perf_counter() - begin

    # The best of several: the machine of the tests does other things besides.
    assert min(once() for _ in range(10)) < 0.020


def test_the_notebook_draws_balances_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.chdir(tmp_path)
    notebook: dict[str, Any] = json.loads((EXAMPLES / "balances_and_flags.ipynb").read_text())
    names: dict[str, Any] = {}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    balances, counts = names["balance_history"].axes[0], names["variant_counts"].axes[0]
    drawn = [float(balance) for balance in balances.lines[0].get_ydata()]
    assert len(drawn) == 14 and drawn[0] == 200 and min(drawn) > 0
    assert drawn == [float(balance) for balance in names["after"]]
    assert sum(bar.get_height() for bar in counts.patches) == 12 == sum(names["counts"].values())
    assert set(names["counts"]) <= {"free", "cheap", "usual"} and len(names["counts"]) > 1
    names["plt"].close("all")
