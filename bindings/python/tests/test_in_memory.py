"""A platform in memory: as one on a folder, and there at once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from platform_core import AsyncPlatform, ConflictError, Platform


def sent(p: Platform) -> list[str]:
    """The subjects of what was sent, once something was."""
    for _ in range(200):
        mail = p.sent_mail()
        if mail:
            return [message.subject for message in mail]
        time.sleep(0.02)
    return []


def test_it_has_every_domain_and_nothing_of_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Platform.in_memory() as p:
        bank = p.transactions.open_account("EUR")
        purse = p.transactions.open_account("EUR", min_balance=0)
        p.transactions.transfer(bank.id, purse.id, "EUR", 5)
        ada = p.users.create("ada@example.org")
        p.settled()
        assert [entry.action for entry in p.audit.events(subject=ada.id)] == ["users.profile_created"]
        assert p.transactions.check().balanced
        assert repr(p) == "<Platform in memory, acting as service:python>"
    assert p.closed
    assert list(tmp_path.iterdir()) == []


def test_each_is_its_own() -> None:
    with Platform.in_memory() as one, Platform.in_memory(service="other") as two:
        one.users.create("ada@example.org")
        assert len(list(one.users.search())) == 1
        assert list(two.users.search()) == []


def test_what_it_sends_can_be_read(p: Platform) -> None:
    with Platform.in_memory() as memory:
        memory.notifications.put_template("shipped", "Your order {{ order }}", "It is on its way.")
        memory.notifications.send("shipped", to="ada@example.org", data={"order": 7})
        assert sent(memory) == ["Your order 7"]
        assert memory.sent_mail()[0].to == "ada@example.org"
    with pytest.raises(ConflictError) as caught:
        p.sent_mail()
    assert caught.value.code == "platform.not_in_memory"


def test_it_opens_within_twenty_milliseconds() -> None:
    took: list[float] = []
    for _ in range(10):
        begin = time.perf_counter()
        p = Platform.in_memory()
        took.append(time.perf_counter() - begin)
        p.close()
    assert min(took) < 0.02, took


def test_the_awaited_one_is_the_same() -> None:
    async def story() -> list[str]:
        async with AsyncPlatform.in_memory() as p:
            await p.users.create("ada@example.org")
            assert p.sent_mail() == []
            return [user.email async for user in p.users.search()]

    assert asyncio.run(story()) == ["ada@example.org"]
