"""The exceptions: one base, and a class below it for each kind of error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "AlreadyExistsError",
    "ConflictError",
    "DataLossError",
    "Error",
    "FailedPreconditionError",
    "ForbiddenError",
    "InternalError",
    "InvalidInputError",
    "LimitExceededError",
    "NotFoundError",
    "UnauthenticatedError",
    "UnavailableError",
]


class Error(Exception):
    """What the platform raises.

    >>> try:
    ...     p.users.get(UserId("user_00000000000000000000000000"))
    ... except platform_core.Error as error:
    ...     print(error.kind, error.code, error.message, error.retry_after, error.context)
    NotFound users.not_found there is no such user None {'user_id': 'user_00000000000000000000000000'}
    """

    kind: ClassVar[str] = "Internal"
    """What kind of failure it is: the name of the class without ``Error``."""
    code: str
    """Which error it is. It is stable: ``domain.what``."""
    message: str
    """A sentence for people."""
    retry_after: float | None
    """Seconds after which the same call may succeed; ``0.0``: at once; ``None``: it would fail again."""
    context: dict[str, str]
    """What it is about. Never a secret, never personal data."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "python.error",
        retry_after: float | None = None,
        context: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.context = dict(context or {})

    def __str__(self) -> str:
        context = "".join(f" [{name}={value}]" for name, value in self.context.items())
        return f"{self.code}: {self.message}{context}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.message, self.code, self.retry_after, self.context)


def _rebuilt(
    kind: type[Error], message: str, code: str, retry_after: float | None, context: dict[str, str]
) -> Error:
    return kind(message, code=code, retry_after=retry_after, context=context)


class InvalidInputError(Error):
    """The request is malformed, whatever the state of the system."""

    kind = "InvalidInput"


class UnauthenticatedError(Error):
    """It is not known who is asking."""

    kind = "Unauthenticated"


class ForbiddenError(Error):
    """It is known who is asking, and they may not."""

    kind = "Forbidden"


class NotFoundError(Error):
    """The thing does not exist, or the asker may not know that it does."""

    kind = "NotFound"


class AlreadyExistsError(Error):
    """A thing with this identity exists already."""

    kind = "AlreadyExists"


class ConflictError(Error):
    """The request contradicts the present state."""

    kind = "Conflict"


class FailedPreconditionError(Error):
    """A condition that the caller stated (a version) is not true any more."""

    kind = "FailedPrecondition"


class LimitExceededError(Error):
    """A limit of rate, size or number is reached."""

    kind = "LimitExceeded"


class UnavailableError(Error):
    """Something that is needed cannot be reached now."""

    kind = "Unavailable"


class InternalError(Error):
    """A fault of the platform's."""

    kind = "Internal"


class DataLossError(Error):
    """Stored data is damaged or missing."""

    kind = "DataLoss"


# Where programs find them.
for _name in __all__:
    globals()[_name].__module__ = "platform_core"
