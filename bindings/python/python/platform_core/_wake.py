"""What the event loop runs when a call has ended."""

from __future__ import annotations

import asyncio


def wake(future: asyncio.Future[None]) -> None:
    """Wakes whoever awaits the call, unless they were cancelled."""
    if not future.done():
        future.set_result(None)
