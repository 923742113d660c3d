"""The id that ties together everything that one request causes: audit entries, events, log lines.

The middlewares of ``platform_core.asgi`` and ``platform_core.django`` set it for each request, from ``X-Request-Id`` or
anew; a program that has no requests sets it with ``correlated``.

>>> with correlated("nightly-17") as id:
...     p.acting_as("billing", correlation_id=id).users.create("joan@example.org").email
...     current_correlation_id()
'joan@example.org'
'nightly-17'
>>> current_correlation_id() is None
True
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = [
    "CorrelationFilter",
    "accepted_correlation_id",
    "add_correlation_id",
    "correlated",
    "current_correlation_id",
    "new_correlation_id",
]

MAXIMUM_LENGTH = 128
"""Characters of an id."""
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Base 32 as ids of the platform are written."""

_current: ContextVar[str | None] = ContextVar("platform_core_correlation_id", default=None)


def current_correlation_id() -> str | None:
    """The id of what this task or thread does just now.

    >>> current_correlation_id() is None
    True
    """
    return _current.get()


@contextmanager
def correlated(given: str | None = None) -> Generator[str]:
    """Sets the id for what is done within, in this task or thread: what is given when it can be one, else a new one.

    >>> with correlated() as id:
    ...     current_correlation_id() == id
    True
    """
    id = accepted_correlation_id(given)
    before = _current.set(id)
    try:
        yield id
    finally:
        _current.reset(before)


def accepted_correlation_id(given: str | None) -> str:
    """What a client gave, when it is 1 to 128 visible ASCII characters; else a new id.

    >>> accepted_correlation_id("order-7")
    'order-7'
    >>> accepted_correlation_id("two words").startswith("req_")
    True
    """
    if given and len(given) <= MAXIMUM_LENGTH and all("!" <= character <= "~" for character in given):
        return given
    return new_correlation_id()


def new_correlation_id() -> str:
    """A new id, of the form that the platform gives its own requests. Ids are ordered by time.

    >>> len(new_correlation_id())
    30
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    # A UUID of version 7 (RFC 9562, 5.7).
    number = (milliseconds << 80 | random) & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return "req_" + "".join(DIGITS[number >> shift & 31] for shift in range(125, -1, -5))


class CorrelationFilter(logging.Filter):
    """Gives every record of the handler that it is added to a ``correlation_id`` (``-`` outside of requests).

    >>> import logging, sys
    >>> handler = logging.StreamHandler(sys.stdout)
    >>> handler.addFilter(CorrelationFilter())
    >>> handler.setFormatter(logging.Formatter("%(correlation_id)s %(message)s"))
    >>> logger = logging.Logger("shop")
    >>> logger.addHandler(handler)
    >>> with correlated("order-7"):
    ...     logger.warning("sold out")
    order-7 sold out
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record pass."""
        record.correlation_id = current_correlation_id() or "-"
        return True


def add_correlation_id(
    logger: Any, method_name: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A processor of structlog: adds ``correlation_id`` to each event within a request.

    >>> with correlated("order-7"):
    ...     add_correlation_id(None, "info", {"event": "sold out"})
    {'event': 'sold out', 'correlation_id': 'order-7'}
    """
    id = current_correlation_id()
    if id is not None:
        event_dict.setdefault("correlation_id", id)
    return event_dict
