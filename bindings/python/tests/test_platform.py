"""Opening and closing, who acts, and many threads."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from platform_core import (
    ConflictError,
    ForbiddenError,
    Platform,
    Principal,
    Profile,
    UnauthenticatedError,
    UnavailableError,
)


def test_a_folder_is_open_once_and_again_after_its_end(folder: Path) -> None:
    with Platform.open(folder) as first:
        first.users.create("ada@example.org")
        with pytest.raises(UnavailableError) as refused:
            Platform.open(str(folder))
        assert refused.value.code == "store.locked"
        assert not first.closed
    assert first.closed
    first.close()
    with pytest.raises(ConflictError) as closed:
        first.users.search().page()
    assert closed.value.code == "platform.closed"
    with Platform.open(folder) as second:
        assert [user.email for user in second.users.search()] == ["ada@example.org"]


def test_what_nobody_holds_is_closed(folder: Path) -> None:
    users = Platform.open(folder).users
    gc.collect()
    users.create("ada@example.org")
    del users
    gc.collect()
    with Platform.open(folder) as again:
        assert [user.email for user in again.users.search()] == ["ada@example.org"]


def test_the_end_of_the_interpreter_closes_it(folder: Path) -> None:
    script = f"""
from platform_core import Platform
p = Platform.open({str(folder)!r})
kept = [p.users, p.users.search()]
p.users.create("ada@example.org")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    with Platform.open(folder) as again:
        assert [user.email for user in again.users.search()] == ["ada@example.org"]


def test_what_was_answered_outlives_a_killed_process(folder: Path) -> None:
    script = f"""
import os, signal
from platform_core import Platform
p = Platform.open({str(folder)!r})
p.users.create("ada@example.org")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=60)
    assert done.returncode == -9
    with Platform.open(folder) as again:
        assert [user.email for user in again.users.search()] == ["ada@example.org"]


def test_each_domain_asks_by_itself_what_they_may(p: Platform, ada: Profile) -> None:
    with pytest.raises(UnauthenticatedError):
        p.acting_as(Principal.anonymous()).users.get(ada.id)
    reader = p.acting_as(Principal.service("reports", permissions=["users:read"]))
    assert reader.users.get(ada.id) == ada
    with pytest.raises(ForbiddenError) as refused:
        reader.users.update(ada.id, name="A")
    assert (refused.value.code, refused.value.context) == ("auth.forbidden", {"permission": "users:write"})
    assert p.acting_as("jobs").users.update(ada.id, name="A").name == "A"
    principal = p.users.access(ada.id)
    assert principal is not None and principal.user_id == ada.id and not principal.may("users:read")
    themselves = p.acting_as(principal)
    assert themselves.users.get(ada.id).name == "A"
    with pytest.raises(ForbiddenError):
        themselves.users.search().page()


def test_threads_share_one_platform(p: Platform) -> None:
    with ThreadPoolExecutor(16) as threads:
        made = list(threads.map(p.users.create, [f"user{number}@example.org" for number in range(200)]))
    assert len({user.id for user in made}) == 200
    assert len(list(p.users.search())) == 200


def test_a_call_that_waits_lets_other_threads_run(p: Platform) -> None:
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for number in range(20):
            p.users.create(f"user{number}@example.org")
    finally:
        done.set()
        thread.join()
    assert counted > 1_000


def test_a_closing_waits_for_the_calls_of_other_threads(folder: Path) -> None:
    p = Platform.open(folder)
    answered: list[str] = []
    refused: list[str] = []

    def work(thread: int) -> None:
        for number in range(10_000):
            try:
                answered.append(p.users.create(f"user{number}@{thread}.example.org").id)
            except ConflictError as error:
                refused.append(error.code)
                return

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    while len(answered) < 50:
        pass
    p.close()
    for thread in threads:
        thread.join()
    assert refused == ["platform.closed"] * 8
    with Platform.open(folder) as again:
        assert {user.id for user in again.users.search()} == set(answered)


def test_a_platform_says_what_it_is(p: Platform, folder: Path) -> None:
    assert repr(p) == f'<Platform "{folder}", acting as service:python>'
    with Platform.open(folder.parent / "other", service="shop") as shop:
        assert "acting as service:shop" in repr(shop)
    assert repr(shop).endswith(", closed>")
