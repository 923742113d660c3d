"""Events as iterators: in order, at least once, and ended by whoever closes."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from pathlib import Path

import pytest

from platform_core import AsyncPlatform, ConflictError, Event, ForbiddenError, InvalidInputError, Platform, Principal


def make(p: Platform, count: int, begin: int = 0) -> list[str]:
    """Profiles: their ids."""
    return [p.users.create(f"user{number}@example.org").id for number in range(begin, begin + count)]


def test_an_event_says_what_happened(p: Platform) -> None:
    with p.events("reader", stores=["users"]) as events:
        ada = p.users.create("ada@example.org")
        event = next(events)
        assert isinstance(event, Event)
        assert (event.event_type, event.subject, event.key) == ("users.profile_created", ada.id, ada.id)
        assert (event.store, event.actor) == ("users", "service:python")
        assert event.time.tzinfo is not None and event.causation_id is None
        assert "ada@example.org" not in str(event.to_dict())


def test_a_name_goes_on_behind_what_was_done(folder: Path) -> None:
    with Platform.open(folder) as p:
        users = make(p, 10)
        with p.events("mailer", stores=["users"]) as events:
            first = [next(events).subject for _ in range(4)]
            events.done()
            undone = next(events).subject
    with Platform.open(folder) as p:
        with p.events("mailer", stores=["users"]) as events:
            rest = [next(events).subject for _ in range(6)]
            assert undone in rest
            assert sorted(first + rest) == sorted(users)
        with p.events("other", stores=["users"]) as events:
            assert sorted(next(events).subject for _ in range(10)) == sorted(users)


def test_what_the_next_follows_is_done_at_the_latest_after_a_batch(folder: Path) -> None:
    with Platform.open(folder) as p:
        users = make(p, 100)
        p.settled()
        seen: list[str] = []
        for event in p.events("batches", stores=["users"]):
            seen.append(event.subject)
            if len(seen) == 100:
                break
        assert sorted(seen) == sorted(users)
    with Platform.open(folder) as p, p.events("batches", stores=["users"]) as events:
        # At least the last was not followed by another; at most its batch comes again.
        again = next(events).subject
        assert again in seen[-64:]


def test_without_a_name_it_begins_with_the_next(p: Platform) -> None:
    make(p, 3)
    p.settled()
    with p.events(stores=["users"]) as events:
        (fourth,) = make(p, 1, begin=3)
        assert next(events).subject == fourth


def test_who_waits_is_ended_by_closing(folder: Path) -> None:
    p = Platform.open(folder)
    ended: list[str] = []

    def read(name: str) -> None:
        for _ in p.events(name):
            pass
        ended.append(name)

    events = p.events("one")

    def read_all() -> None:
        list(events)
        ended.append("closed")

    closing = threading.Thread(target=read_all, daemon=True)
    reading = threading.Thread(target=read, args=("two",), daemon=True)
    closing.start()
    reading.start()
    time.sleep(0.2)
    events.close()
    closing.join(10)
    assert ended == ["closed"]
    begin = time.perf_counter()
    p.close()
    assert time.perf_counter() - begin < 5
    reading.join(10)
    assert ended == ["closed", "two"]
    assert list(events) == []
    with pytest.raises(ConflictError):
        p.events()
    Platform.open(folder).close()


def test_an_iterator_that_lives_on_does_not_keep_the_folder(folder: Path) -> None:
    with Platform.open(folder) as p:
        make(p, 1)
        events = p.events("kept")
        next(events)
    Platform.open(folder).close()
    assert list(events) == []
    with pytest.raises(ConflictError):
        events.done()


def test_ctrl_c_ends_the_waiting_and_loses_nothing(p: Platform) -> None:
    with p.events("patient", stores=["users"]) as events:
        main = threading.main_thread().ident or 0
        timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            next(events)
        users = make(p, 3)
        assert sorted(next(events).subject for _ in range(3)) == sorted(users)


def test_only_who_may_and_only_what_is_there(p: Platform) -> None:
    with pytest.raises(ForbiddenError):
        p.acting_as(Principal.service("x", permissions=[])).events()
    p.acting_as(Principal.service("x", permissions=["events:subscribe"])).events().close()
    with pytest.raises(InvalidInputError) as unnamed:
        p.events("")
    with pytest.raises(InvalidInputError) as unknown:
        p.events(stores=["orders"])
    assert (unnamed.value.code, unknown.value.code) == ("events.invalid_name", "events.unknown_store")


def test_awaited() -> None:
    async def story() -> None:
        async with AsyncPlatform.in_memory() as p:
            found: list[str] = []
            async with p.events("reader", stores=["users"]) as events:
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(events.__anext__(), 0.05)
                users = [(await p.users.create(f"user{number}@example.org")).id for number in range(5)]
                async for event in events:
                    found.append(event.subject)
                    if len(found) == 5:
                        break
                await events.done()
            assert sorted(found) == sorted(users)
            assert [event async for event in events] == []

            async def read() -> list[Event]:
                return [event async for event in p.events("later", stores=["transactions"])]

            reading = asyncio.create_task(read())
            await asyncio.sleep(0.1)
            await p.close()
            assert await asyncio.wait_for(reading, 5) == []

    asyncio.run(story())
