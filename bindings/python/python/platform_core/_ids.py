"""Ids: strings of the form ``prefix_base32``, each a type of its own for type checkers."""

from __future__ import annotations

from typing import NewType

__all__ = ["AccountId", "DeadLetterId", "EventId", "NotificationId", "SessionId", "TransferId", "UserId"]

AccountId = NewType("AccountId", str)
DeadLetterId = NewType("DeadLetterId", str)
EventId = NewType("EventId", str)
NotificationId = NewType("NotificationId", str)
SessionId = NewType("SessionId", str)
TransferId = NewType("TransferId", str)
UserId = NewType("UserId", str)
