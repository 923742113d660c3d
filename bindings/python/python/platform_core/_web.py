"""What the middlewares share: reading a request's token, and answering with an error."""

from __future__ import annotations

import http
import json
import math
from collections.abc import Sequence
from ipaddress import ip_address

from . import Error, ForbiddenError, Principal, UnauthenticatedError

STATUSES = {
    "InvalidInput": 400,
    "Unauthenticated": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "AlreadyExists": 409,
    "Conflict": 409,
    "FailedPrecondition": 412,
    "LimitExceeded": 429,
    "Unavailable": 503,
}
"""The HTTP status of each kind of error; of a fault 500."""


def bearer_token(values: Sequence[str]) -> str | None:
    """The access token of the ``Authorization`` headers; ``None`` without the header."""
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    token = token.strip(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError("Authorization is `Bearer` and an access token", code="auth.invalid_token")
    return token


def permit(principal: Principal, permission: str) -> Principal:
    """Whoever may do something, or the error for who may not."""
    if principal.may(permission):
        return principal
    if principal.actor == "anonymous":
        raise UnauthenticatedError("sign in first", code="auth.not_signed_in")
    raise ForbiddenError(
        "the permission is missing", code="auth.forbidden", context={"permission": permission}
    )


def is_denial(error: Error) -> bool:
    """Whether somebody was refused something."""
    return isinstance(error, (UnauthenticatedError, ForbiddenError))


def problem(error: Error, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body (RFC 9457) of an error, as the server of the platform answers it."""
    status = STATUSES.get(error.kind, 500)
    is_fault = status == 500
    body: dict[str, object] = {
        "type": "about:blank",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": "a fault of ours; the request id finds it in the logs" if is_fault else error.message,
        "code": error.code,
        "request_id": request_id,
    }
    if error.context and not is_fault:
        body["context"] = error.context
    headers = {"Content-Type": "application/problem+json"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    return status, headers, json.dumps(body).encode()


def client_address(text: str | None) -> str | None:
    """An address of IP, when it is one, without a zone."""
    try:
        return str(ip_address(text.partition("%")[0])) if text else None
    except ValueError:
        return None


def client_program(user_agent: str | None) -> str | None:
    """As much of ``User-Agent`` as the platform keeps."""
    return user_agent.encode()[:200].decode(errors="ignore") if user_agent else None
