"""A child of fork() is told, and nothing hangs."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from platform_core import ConflictError, Platform

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def test_a_child_is_refused_and_ends_and_the_parent_goes_on(folder: Path) -> None:
    script = f"""
import gc, os, sys
from platform_core import ConflictError, Platform
p = Platform.open({str(folder)!r})
p.users.create("ada@example.org")
child = os.fork()
if child == 0:
    for call in [lambda: p.users.create("child@example.org"), lambda: list(p.users.search()), p.settled,
                 lambda: p.acting_as("child").users.has_administrator(),
                 lambda: Platform.open({str(folder.parent / "of-child")!r})]:
        try:
            call()
        except ConflictError as error:
            assert error.code == "platform.forked", error
            print("refused", flush=True)
    assert p.closed
    p.close()
    del p, call
    gc.collect()
    sys.exit(7)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), [user.email for user in p.users.search()], flush=True)
p.close()
Platform.open({str(folder)!r}).close()
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "refused\n" * 5 + "7 ['ada@example.org']\n"


def child(p: Platform) -> str:
    """What a worker of multiprocessing is told."""
    try:
        p.users.has_administrator()
    except ConflictError as error:
        return error.code
    return "nothing"


SHARED: list[Platform] = []


def worker(_number: int) -> str:
    """What a worker of multiprocessing is told of the parent's platform."""
    return child(SHARED[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_workers_of_multiprocessing_are_refused(p: Platform) -> None:
    SHARED[:] = [p]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(worker, range(2)) == ["platform.forked"] * 2
    SHARED.clear()
    assert p.users.has_administrator() is False


def test_a_child_that_lives_on_does_not_keep_the_folder(folder: Path) -> None:
    p = Platform.open(folder)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    try:
        p.close()
        Platform.open(folder).close()
    finally:
        os.close(writing)
        os.waitpid(pid, 0)


def test_a_child_of_a_process_without_an_open_platform_opens_one(folder: Path) -> None:
    script = f"""
import os, sys
from platform_core import Platform
Platform.open({str(folder)!r}).close()
child = os.fork()
if child == 0:
    with Platform.open({str(folder)!r}) as own:
        own.users.create("child@example.org")
    sys.exit(7)
_, status = os.waitpid(child, 0)
with Platform.open({str(folder)!r}) as p:
    print(os.waitstatus_to_exitcode(status), [user.email for user in p.users.search()])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "7 ['child@example.org']\n")
