"""The stubs are what the tables say, and the package passes the type checkers."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import platform_core

HERE = Path(__file__).parent
FILE = HERE.parent / "python" / "platform_core" / "_platform_core.pyi"
native: Any = importlib.import_module("platform_core._platform_core")


def run(*command: str) -> None:
    """Runs a checker of this environment outside of the source tree, over the installed package."""
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=HERE, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_checked_in_stubs_are_those_of_the_tables() -> None:
    assert FILE.read_text() == native._stubs(), "run `cargo xtask python stubs` and look at the difference"


def test_the_package_exports_every_class_of_the_module() -> None:
    members: dict[str, Any] = native.__dict__
    public = {name for name in members if not name.startswith("_")}
    assert public <= set(platform_core.__all__), public - set(platform_core.__all__)
    assert sorted(platform_core.__all__) == platform_core.__all__


def test_mypy_finds_nothing() -> None:
    run("mypy", "--strict", str(HERE), str(HERE.parent / "examples"), "--cache-dir", os.devnull)
    run("mypy", "--strict", "--package", "platform_core", "--cache-dir", os.devnull)


def test_stubtest_finds_nothing(tmp_path: Path) -> None:
    # It does not know that a NewType is no class.
    (tmp_path / "allowed").write_text(r"platform_core\._ids\.\w+Id" "\n")
    run("mypy.stubtest", "platform_core", "--allowlist", str(tmp_path / "allowed"))


def test_pyright_finds_nothing() -> None:
    run("pyright", "--project", str(HERE.parent), "--pythonpath", sys.executable)
