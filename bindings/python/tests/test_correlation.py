"""Correlation ids: in the log, in the platform, apart from each other."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest
import structlog

from platform_core import Platform
from platform_core.correlation import (
    CorrelationFilter,
    accepted_correlation_id,
    add_correlation_id,
    correlated,
    current_correlation_id,
    new_correlation_id,
)


@pytest.fixture
def p(platform: Platform) -> Platform:
    """In memory."""
    return platform


def test_what_a_client_gives_is_taken_when_it_can_be_an_id(p: Platform) -> None:
    for good in ("a", "order-7", "x" * 128, "!~"):
        assert accepted_correlation_id(good) == good
        p.acting_as("shop", correlation_id=good)
    for bad in (None, "", "two words", "x" * 129, "café", "a\nb"):
        assert accepted_correlation_id(bad).startswith("req_")


def test_new_ids_differ_are_ordered_and_are_taken_by_the_platform(p: Platform) -> None:
    ids = [new_correlation_id() for _ in range(100)]
    assert len(set(ids)) == 100
    times = [id[:14] for id in ids]
    assert times == sorted(times)
    p.acting_as("shop", correlation_id=ids[0]).users.create("ada@example.org")
    p.settled()
    (entry,) = p.audit.events(action="users.profile_created")
    assert entry.correlation_id == ids[0]


def test_tasks_and_threads_have_their_own() -> None:
    seen: list[str | None] = []

    async def task(name: str) -> None:
        with correlated(name):
            await asyncio.sleep(0)
            assert current_correlation_id() == name

    async def main() -> None:
        with correlated("outer"):
            await asyncio.gather(*(task(f"task-{number}") for number in range(10)))
            assert current_correlation_id() == "outer"
            other = threading.Thread(target=lambda: seen.append(current_correlation_id()))
            other.start()
            other.join()

    asyncio.run(main())
    assert seen == [None] and current_correlation_id() is None


def test_log_records_carry_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(CorrelationFilter())
    logging.getLogger("shop").warning("outside")
    with correlated("order-7"):
        logging.getLogger("shop").warning("inside")
    assert [getattr(record, "correlation_id") for record in caplog.records] == ["-", "order-7"]


def test_structlog_adds_it() -> None:
    with structlog.testing.capture_logs(processors=[add_correlation_id]) as logs:
        logger = structlog.get_logger()
        logger.info("outside")
        with correlated("order-7"):
            logger.info("inside")
            logger.info("of another", correlation_id="order-8")
    assert [log.get("correlation_id") for log in logs] == [None, "order-7", "order-8"]
