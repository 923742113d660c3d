"""The asynchronous platform."""

from __future__ import annotations

import asyncio
import gc
import inspect
import time
import warnings
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from platform_core import AsyncPlatform, ConflictError, Error, NotFoundError, Platform, UserId


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a test's coroutine."""
    asyncio.run(main)


def test_it_is_opened_by_await_or_entered(folder: Path) -> None:
    async def main() -> None:
        async with AsyncPlatform.open(folder) as p:
            ada = await p.users.create("ada@example.org", name="Ada")
            assert await p.users.get(ada.id) == ada
            with pytest.raises(Error):
                await AsyncPlatform.open(folder)
        assert p.closed
        again = await AsyncPlatform.open(folder)
        assert [user.email async for user in again.users.search()] == ["ada@example.org"]
        await again.close()
        with pytest.raises(ConflictError):
            await again.users.has_administrator()
        async with await AsyncPlatform.open(folder) as third:
            assert not third.closed

    run(main())


def test_many_calls_run_at_once(folder: Path) -> None:
    async def main() -> None:
        async with AsyncPlatform.open(folder) as p:
            made = await asyncio.gather(*(p.users.create(f"user{number}@example.org") for number in range(200)))
            assert [user.id async for user in p.users.search()] == sorted(user.id for user in made)
            page = await p.users.search().page(limit=7)
            assert len(page) == 7 and page.next_cursor
            tasks = [asyncio.create_task(p.users.get(user.id)) for user in made[:5]]
            assert [await task for task in tasks] == made[:5]

    run(main())


def test_an_error_is_raised_where_it_is_awaited(folder: Path) -> None:
    async def main() -> None:
        async with AsyncPlatform.open(folder) as p:
            call = p.users.get(UserId("user_01041040g2081040g2081040g2"))
            with pytest.raises(NotFoundError):
                await call
            with pytest.raises(RuntimeError, match="already awaited"):
                await call

    run(main())


def test_a_call_is_a_coroutine_that_begins_when_it_is_awaited(folder: Path) -> None:
    async def main() -> None:
        async with AsyncPlatform.open(folder) as p:
            call = p.users.create("ada@example.org")
            assert asyncio.iscoroutine(call) and inspect.isawaitable(call)
            call.close()
            assert [user async for user in p.users.search()] == []
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                p.users.create("ada@example.org")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
                gc.collect()
            assert [str(warning.message) for warning in warned] == ["coroutine 'create' was never awaited"]
            assert [user async for user in p.users.search()] == []

    run(main())


def test_the_event_loop_goes_on_meanwhile(folder: Path) -> None:
    async def main() -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with AsyncPlatform.open(folder) as p:
            turning = asyncio.create_task(turn())
            await p.users.create("ada@example.org")
            turning.cancel()
        assert turns > 3

    run(main())


def test_a_cancelled_call_goes_on_to_its_end(folder: Path) -> None:
    async def main() -> None:
        async with AsyncPlatform.open(folder) as p:
            call = asyncio.create_task(p.users.create("ada@example.org"))
            await asyncio.sleep(0)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        with Platform.open(folder) as again:
            assert [user.email for user in again.users.search()] == ["ada@example.org"]

    run(main())


def test_a_time_limit_ends_the_waiting(folder: Path) -> None:
    async def main() -> None:
        async with AsyncPlatform.open(folder) as p:
            begin = time.monotonic()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(p.users.create(f"u{n}@example.org") for n in range(500))), 0.001)
            assert time.monotonic() - begin < 5

    run(main())


def test_it_acts_as_somebody_else(folder: Path) -> None:
    async def main() -> None:
        async with AsyncPlatform.open(folder, service="shop") as p:
            ada = await p.users.create("ada@example.org")
            principal = await p.users.access(ada.id)
            assert principal is not None
            assert (await p.acting_as(principal).users.get(ada.id)).id == ada.id
            with pytest.raises(Error):
                await p.acting_as(principal).users.search().page()

    run(main())


def test_a_loop_that_ends_early_loses_nothing(folder: Path) -> None:
    opened: list[AsyncPlatform] = []

    async def main() -> None:
        p = await AsyncPlatform.open(folder)
        opened.append(p)
        asyncio.ensure_future(p.users.create("ada@example.org"))
        await asyncio.sleep(0)

    run(main())
    run(opened.pop().close())
    with Platform.open(folder) as again:
        assert [user.email for user in again.users.search()] == ["ada@example.org"]
