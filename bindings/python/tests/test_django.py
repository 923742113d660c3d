"""The middleware for Django, around synchronous and asynchronous views."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

from platform_core import AuditEntry, InternalError, Platform, UserId
from platform_core.correlation import current_correlation_id
from platform_core.django import PlatformMiddleware, permit, platform_of, principal_of, requires

PASSWORD = "a long enough password"

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["testserver"],
        MIDDLEWARE=["platform_core.django.PlatformMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="of a test",
    )


def whoami(request: HttpRequest) -> JsonResponse:
    """Everything that the middleware gives."""
    id: str = vars(request)["correlation_id"]
    assert id == current_correlation_id()
    return JsonResponse({"actor": principal_of(request).actor, "id": id})


async def whoami_awaited(request: HttpRequest) -> JsonResponse:
    """The same, asynchronous."""
    await asyncio.sleep(0)
    return whoami(request)


@requires("orders:read")
def order(request: HttpRequest, id: int) -> JsonResponse:
    """One with a permission."""
    return JsonResponse({"order": id})


@requires("orders:read")
async def order_awaited(request: HttpRequest, id: int) -> JsonResponse:
    """The same, asynchronous."""
    return JsonResponse({"order": id, "for": permit(request, "orders:read").actor})


def profile(request: HttpRequest, user: UserId) -> JsonResponse:
    """One that a domain may refuse."""
    return JsonResponse({"email": platform_of(request).users.get(user).email})


def broken(request: HttpRequest) -> JsonResponse:
    """One that fails."""
    raise InternalError("the details", code="shop.broken")


def lost(request: HttpRequest) -> JsonResponse:
    """One whose error is Django's."""
    raise Http404


urlpatterns = [
    path("whoami", whoami),
    path("awaited/whoami", whoami_awaited),
    path("orders/<int:id>", order),
    path("awaited/orders/<int:id>", order_awaited),
    path("profiles/<str:user>", profile),
    path("broken", broken),
    path("lost", lost),
]


@pytest.fixture
def p(platform: Platform) -> Platform:
    """In memory."""
    return platform


@pytest.fixture
def served(p: Platform) -> Iterator[Platform]:
    """The platform, as the settings name it."""
    with override_settings(PLATFORM_CORE=p):
        yield p


class Both:
    """A client whose requests are made in both ways."""

    def get(self, path: str, **headers: str) -> list[Any]:
        """The answers to a request over WSGI, and over ASGI."""

        async def awaited() -> Any:
            return await AsyncClient().get(f"/{path}", headers=headers)

        return [Client(REMOTE_ADDR="203.0.113.7").get(f"/{path}", headers=headers), asyncio.run(awaited())]


def bearer(p: Platform, *permissions: str) -> str:
    """The header of somebody who has signed in."""
    user = p.auth.register("ada@example.org", PASSWORD)
    if permissions:
        p.users.put_role("clerk", permissions=permissions)
        p.users.grant(user, "clerk")
    return f"Bearer {p.auth.login('ada@example.org', PASSWORD).access_token}"


def denials(p: Platform, number: int) -> set[tuple[str, str, Any]]:
    """The audit entries of what was refused: they are written within a second."""
    found: list[AuditEntry] = []
    for _ in range(100):
        found = [entry for entry in p.audit.events() if entry.outcome == "denied"]
        if len(found) >= number:
            break
        time.sleep(0.05)
    return {(entry.action, entry.subject, entry.data["code"]) for entry in found}


@pytest.mark.parametrize("path", ["whoami", "awaited/whoami"])
def test_a_request_has_a_principal_and_an_id(served: Platform, path: str) -> None:
    token = bearer(served)
    (ada,) = served.users.search()
    for answer in Both().get(path, **{"X-Request-Id": "first"}):
        assert answer.json() == {"actor": "anonymous", "id": "first"}
        assert answer.headers["X-Request-Id"] == "first"
    for answer in Both().get(path, Authorization=token):
        assert answer.json()["actor"] == f"user:{ada.id}"
        assert answer.headers["X-Request-Id"] == answer.json()["id"]
    assert current_correlation_id() is None


@pytest.mark.parametrize("path", ["orders/7", "awaited/orders/7"])
def test_a_permission_is_asked_for(served: Platform, path: str) -> None:
    for answer in Both().get(path):
        assert (answer.status_code, answer.json()["code"]) == (401, "auth.not_signed_in")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    route = "/" + path.replace("7", "<int:id>")
    assert denials(served, 2) == {(f"GET {route}", route, "auth.not_signed_in")}
    for answer in Both().get(path, Authorization=bearer(served, "orders:read")):
        assert answer.json()["order"] == 7


def test_a_token_that_is_none_is_refused_and_audited(served: Platform) -> None:
    for given in ("Basic YTpi", "Bearer not-one"):
        for answer in Both().get("whoami", Authorization=given):
            assert (answer.status_code, answer.json()["code"]) == (401, "auth.invalid_token")
            assert answer.headers["Content-Type"] == "application/problem+json"
    for answer in Both().get("nowhere", Authorization="Basic YTpi"):
        assert answer.status_code == 401
    assert denials(served, 6) == {
        ("GET /whoami", "/whoami", "auth.not_signed_in"),
        ("GET unmatched", "unmatched", "auth.not_signed_in"),
    }


def test_what_a_domain_refuses_is_answered(served: Platform) -> None:
    token = bearer(served)
    joan = served.users.create("joan@example.org")
    for answer in Both().get(f"profiles/{joan.id}", Authorization=token):
        assert (answer.status_code, answer.json()["code"]) == (403, "auth.forbidden")
    for answer in Both().get("profiles/nobody", Authorization=token):
        assert (answer.status_code, answer.json()["code"]) == (400, "request.invalid_id")


def test_other_errors_are_what_they_were(served: Platform, caplog: pytest.LogCaptureFixture) -> None:
    for answer in Both().get("lost"):
        assert answer.status_code == 404 and answer.headers["X-Request-Id"]
    with caplog.at_level(logging.ERROR, "platform_core"):
        for answer in Both().get("broken"):
            assert answer.status_code == 500 and "details" not in answer.json()["detail"]
    logged = [str(record.exc_info[1]) for record in caplog.records if record.exc_info and record.name == "platform_core"]
    assert logged == ["shop.broken: the details"] * 2


def test_the_settings_name_the_platform(p: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "opened", p, raising=False)
    monkeypatch.setattr(module, "open_it", lambda: p, raising=False)
    for named in (p, f"{__name__}.opened", f"{__name__}.open_it", lambda: p):
        with override_settings(PLATFORM_CORE=named):
            assert Client().get("/whoami").status_code == 200
    with override_settings(PLATFORM_CORE=7), pytest.raises(TypeError, match="PLATFORM_CORE"):
        PlatformMiddleware(whoami)
