"""Ctrl-C ends a waiting, not the call."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from platform_core import Platform

SCRIPT = """
import sys, threading, time
from platform_core import Platform, _platform_core
p = Platform.open({folder!r})
print("ready", flush=True)
begin = time.monotonic()
try:
    _platform_core._wait(p, 3.0, "ada@example.org")
except KeyboardInterrupt:
    print(time.monotonic() - begin < 2.0, [user.email for user in p.users.search()], flush=True)
p.close()
print(time.monotonic() - begin >= 3.0)
"""


def test_ctrl_c_interrupts_and_the_call_goes_on_to_its_end(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(folder=str(folder))], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "True []\nTrue\n")
    with Platform.open(folder) as p:
        assert [user.email for user in p.users.search()] == ["ada@example.org"]
