"""ASGI middleware for Starlette and FastAPI: who asks, as which request, and what they may do.

>>> from starlette.applications import Starlette
>>> from starlette.requests import Request
>>> from starlette.responses import JSONResponse
>>> from starlette.routing import Route
>>> from starlette.testclient import TestClient
>>> from platform_core.asgi import PlatformMiddleware, permit
>>> async def orders(request: Request) -> JSONResponse:
...     return JSONResponse({"for": permit(request, "orders:read").actor})
>>> app = Starlette(routes=[Route("/orders", orders)])
>>> app.add_middleware(PlatformMiddleware, platform=p)
>>> client = TestClient(app)
>>> refused = client.get("/orders", headers={"X-Request-Id": "first"})
>>> refused.status_code, refused.json()["code"], refused.headers["X-Request-Id"]
(401, 'auth.not_signed_in', 'first')
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import AsyncPlatform, Error, Platform, Principal, _web
from .correlation import correlated

__all__ = ["PlatformMiddleware", "permit", "requires"]

_logger = logging.getLogger("platform_core")


class PlatformMiddleware:
    """Gives each request

    - ``request.state.principal``: whose access token it brings (``Authorization: Bearer``), as ``auth.authenticate`` knows
      them at this moment; ``Principal.anonymous()`` without one. A token that is not valid is refused with 401.
    - ``request.state.platform``: the platform, acting as the principal, from the client's address.
    - ``request.state.correlation_id``: its ``X-Request-Id``, or a new one. The answer says it, the platform's events and
      audit entries carry it, and so does the log (``platform_core.correlation``).

    An error of the platform that a handler raises is answered as problem details (RFC 9457) with the status of its kind;
    whoever was refused something stands in the audit trail.

    The client is whom the server says: behind a proxy, let the server (uvicorn's ``--proxy-headers``) take its word for it.
    """

    def __init__(self, app: ASGIApp, platform: Platform | AsyncPlatform) -> None:
        self._app = app
        self._platform = platform

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request, or a WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with correlated(headers.get("x-request-id")) as id:
            answer = _Answer(scope, send, id)
            acting: Platform | AsyncPlatform = self._acting_as(Principal.anonymous(), scope, headers, id)
            try:
                token = _web.bearer_token(headers.getlist("authorization"))
                principal = Principal.anonymous() if token is None else await self._authenticate(token)
                acting = self._acting_as(principal, scope, headers, id)
                state = scope.setdefault("state", {})
                state.update(principal=principal, platform=acting, correlation_id=id)
                await self._app(scope, receive, answer.send)
            except Error as error:
                if _web.is_denial(error):
                    route = _route_of(scope)
                    acting.audit.record_denied(f"{scope.get('method', 'WEBSOCKET')} {route}", route)
                if answer.is_begun:
                    raise
                await answer.refuse(error)

    async def _authenticate(self, token: str) -> Principal:
        if isinstance(self._platform, AsyncPlatform):
            return await self._platform.auth.authenticate(token)
        return await asyncio.to_thread(self._platform.auth.authenticate, token)

    def _acting_as(
        self, who: Principal, scope: Scope, headers: Headers, id: str
    ) -> Platform | AsyncPlatform:
        client = scope.get("client")
        return self._platform.acting_as(
            who,
            correlation_id=id,
            address=_web.client_address(client[0] if client else None),
            user_agent=_web.client_program(headers.get("user-agent")),
        )


def permit(connection: HTTPConnection, permission: str) -> Principal:
    """The principal of a request, when they hold a permission.

    Raises ``UnauthenticatedError`` (``auth.not_signed_in``), ``ForbiddenError`` (``auth.forbidden``): the middleware answers
    them with 401 and 403.
    """
    return _web.permit(connection.state.principal, permission)


def requires(permission: str) -> Callable[[HTTPConnection], Awaitable[Principal]]:
    """As ``permit``, as a dependency of FastAPI.

    >>> from typing import Annotated
    >>> from fastapi import Depends, FastAPI
    >>> app = FastAPI()
    >>> @app.get("/orders")
    ... async def orders(who: Annotated[Principal, Depends(requires("orders:read"))]) -> str:
    ...     return who.actor
    """

    async def dependency(connection: HTTPConnection) -> Principal:
        return permit(connection, permission)

    return dependency


class _Answer:
    """What is sent, with the id of the request."""

    def __init__(self, scope: Scope, send: Send, id: str) -> None:
        self.is_begun = False
        self._is_websocket = scope["type"] == "websocket"
        self._send = send
        self._id = id

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            self.is_begun = True
            MutableHeaders(scope=message).setdefault("X-Request-Id", self._id)
        await self._send(message)

    async def refuse(self, error: Error) -> None:
        if self._is_websocket:
            # Before it is accepted that is an answer of 403.
            await self._send({"type": "websocket.close", "code": 1008})
            return
        status, headers, body = _web.problem(error, self._id)
        if status == 500:
            _logger.error("a request failed", exc_info=error)
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self._send({"type": "http.response.body", "body": body})


def _route_of(scope: Scope) -> str:
    """The path of a route, without the values of its parameters, which may be personal."""
    route: Any = scope.get("route")
    if route is None:
        # It was refused before it was routed. What is no application of Starlette has no routes.
        routes = getattr(scope.get("app"), "routes", [])
        matching = (route for route in routes if route.matches(scope)[0] is not Match.NONE)
        route = next(matching, None)
    return str(getattr(route, "path", "unmatched"))
