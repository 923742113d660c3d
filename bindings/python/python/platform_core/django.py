"""Django middleware, for synchronous and asynchronous views: who asks, as which request, and what they may do.

``settings.PLATFORM_CORE`` is an open ``Platform``, or the dotted name of one or of a function that gives it; and
``"platform_core.django.PlatformMiddleware"`` is one of ``settings.MIDDLEWARE``. A view then has

- ``principal_of(request)``: whose access token it brings (``Authorization: Bearer``), as ``auth.authenticate`` knows them at
  this moment; ``Principal.anonymous()`` without one. A token that is not valid is refused with 401.
- ``platform_of(request)``: the platform, acting as the principal, from the client's address.
- ``request.correlation_id``: its ``X-Request-Id``, or a new one. The answer says it, the platform's events and audit entries
  carry it, and so does the log (``platform_core.correlation``).

An error of the platform that a view raises is answered as problem details (RFC 9457) with the status of its kind; whoever
was refused something stands in the audit trail.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve
from django.utils.module_loading import import_string

from . import Error, Platform, Principal, _web
from .correlation import correlated

__all__ = ["PlatformMiddleware", "permit", "platform_of", "principal_of", "requires"]

_View = TypeVar("_View", bound=Callable[..., Any])
_logger = logging.getLogger("platform_core")


class PlatformMiddleware:
    """What the module describes, around every view."""

    sync_capable = True
    async_capable = True

    def __init__(
        self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]
    ) -> None:
        self._get_response = get_response
        self._platform = _platform()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serves a request."""
        if self._is_async:
            return self._serve(request)
        with correlated(request.headers.get("X-Request-Id")) as id:
            try:
                self._enter(request, id, Principal.anonymous())
                token = _token_of(request)
                if token is not None:
                    self._enter(request, id, self._platform.auth.authenticate(token))
                response = cast(HttpResponseBase, self._get_response(request))
            except Error as error:
                response = _refusal(request, error)
            return _named(response, id)

    async def _serve(self, request: HttpRequest) -> HttpResponseBase:
        with correlated(request.headers.get("X-Request-Id")) as id:
            try:
                self._enter(request, id, Principal.anonymous())
                token = _token_of(request)
                if token is not None:
                    self._enter(request, id, await asyncio.to_thread(self._platform.auth.authenticate, token))
                response = await cast(Awaitable[HttpResponseBase], self._get_response(request))
            except Error as error:
                response = _refusal(request, error)
            return _named(response, id)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answers an error of the platform that a view has raised."""
        return _refusal(request, exception) if isinstance(exception, Error) else None

    def _enter(self, request: HttpRequest, id: str, who: Principal) -> None:
        acting = self._platform.acting_as(
            who,
            correlation_id=id,
            address=_web.client_address(request.META.get("REMOTE_ADDR")),
            user_agent=_web.client_program(request.headers.get("User-Agent")),
        )
        vars(request).update(principal=who, platform=acting, correlation_id=id)


def principal_of(request: HttpRequest) -> Principal:
    """Who makes a request."""
    return cast(Principal, vars(request)["principal"])


def platform_of(request: HttpRequest) -> Platform:
    """The platform, acting as whoever makes a request."""
    return cast(Platform, vars(request)["platform"])


def permit(request: HttpRequest, permission: str) -> Principal:
    """Who makes a request, when they hold a permission.

    Raises ``UnauthenticatedError`` (``auth.not_signed_in``), ``ForbiddenError`` (``auth.forbidden``): the middleware answers
    them with 401 and 403.
    """
    return _web.permit(principal_of(request), permission)


def requires(permission: str) -> Callable[[_View], _View]:
    """A decorator for views, synchronous or not, that only who holds a permission may use.

    >>> @requires("orders:read")
    ... def orders(request: HttpRequest) -> HttpResponse:
    ...     return HttpResponse("none")
    """

    def decorate(view: _View) -> _View:
        if iscoroutinefunction(view):

            @functools.wraps(view)
            async def awaited(request: HttpRequest, *arguments: Any, **named: Any) -> Any:
                permit(request, permission)
                return await view(request, *arguments, **named)

            return cast(_View, awaited)

        @functools.wraps(view)
        def called(request: HttpRequest, *arguments: Any, **named: Any) -> Any:
            permit(request, permission)
            return view(request, *arguments, **named)

        return cast(_View, called)

    return decorate


def _platform() -> Platform:
    found: Any = settings.PLATFORM_CORE
    if isinstance(found, str):
        found = import_string(found)
    if not isinstance(found, Platform) and callable(found):
        found = found()
    if isinstance(found, Platform):
        return found
    raise TypeError("settings.PLATFORM_CORE is an open Platform, its dotted name, or that of a function that gives it")


def _token_of(request: HttpRequest) -> str | None:
    value = request.headers.get("Authorization")
    return _web.bearer_token([] if value is None else [value])


def _refusal(request: HttpRequest, error: Error) -> HttpResponse:
    if _web.is_denial(error):
        route = _route_of(request)
        platform_of(request).audit.record_denied(f"{request.method} {route}", route)
    status, headers, body = _web.problem(error, vars(request)["correlation_id"])
    if status == 500:
        _logger.error("a request failed", exc_info=error)
    return HttpResponse(body, status=status, headers=headers)


def _route_of(request: HttpRequest) -> str:
    """The pattern of a path, without the values of its parameters, which may be personal."""
    try:
        match = request.resolver_match or resolve(request.path_info)
    except Resolver404:
        return "unmatched"
    return f"/{match.route}"


def _named(response: HttpResponseBase, id: str) -> HttpResponseBase:
    response.headers.setdefault("X-Request-Id", id)
    return response
