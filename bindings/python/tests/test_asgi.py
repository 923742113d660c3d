"""The middleware for Starlette and FastAPI."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Any

import httpx2 as httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from platform_core import AsyncPlatform, AuditEntry, InternalError, NotFoundError, Platform, Principal, UserId
from platform_core.asgi import PlatformMiddleware, permit, requires
from platform_core.correlation import current_correlation_id

PASSWORD = "a long enough password"


def bearer(p: Platform, email: str = "ada@example.org", *permissions: str) -> dict[str, str]:
    """The headers of somebody who has signed in."""
    user = p.auth.register(email, PASSWORD)
    if permissions:
        p.users.put_role("clerk", permissions=permissions)
        p.users.grant(user, "clerk")
    return {"Authorization": f"Bearer {p.auth.login(email, PASSWORD).access_token}"}


async def whoami(request: Request) -> JSONResponse:
    """Everything that the middleware gives."""
    state = request.state
    assert state.correlation_id == current_correlation_id()
    return JSONResponse({"actor": state.principal.actor, "id": state.correlation_id})


async def order(request: Request) -> JSONResponse:
    """One with a permission."""
    return JSONResponse({"order": request.path_params["id"], "for": permit(request, "orders:read").actor})


async def profile(request: Request) -> JSONResponse:
    """One that a domain may refuse."""
    found = await asyncio.to_thread(request.state.platform.users.get, UserId(request.path_params["id"]))
    return JSONResponse({"email": found.email})


async def broken(request: Request) -> JSONResponse:
    """One that fails."""
    raise InternalError("the details", code="shop.broken")


async def half(request: Request) -> StreamingResponse:
    """One that fails when it has begun to answer."""

    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise NotFoundError("the other half", code="shop.lost")

    return StreamingResponse(parts())


async def socket(websocket: WebSocket) -> None:
    """A WebSocket with a permission."""
    who = permit(websocket, "orders:read")
    await websocket.accept()
    await websocket.send_text(who.actor)
    await websocket.close()


@pytest.fixture
def p(platform: Platform) -> Platform:
    """In memory."""
    return platform


@pytest.fixture
def client(p: Platform) -> Iterator[TestClient]:
    """An application over the platform."""
    routes = [
        Route("/whoami", whoami),
        Route("/orders/{id}", order),
        Route("/profiles/{id}", profile),
        Route("/broken", broken),
        Route("/half", half),
        WebSocketRoute("/socket", socket),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(PlatformMiddleware, platform=p)
    with TestClient(app, client=("203.0.113.7", 4711)) as client:
        yield client


def denials(p: Platform, number: int = 1) -> list[tuple[str, str, str, Any]]:
    """The audit entries of what was refused, the oldest first: they are written within a second."""
    found: list[AuditEntry] = []
    for _ in range(100):
        found = [entry for entry in p.audit.events() if entry.outcome == "denied"]
        if len(found) >= number:
            break
        time.sleep(0.05)
    return [(entry.actor, entry.action, entry.subject, entry.data["code"]) for entry in reversed(found)]


def test_a_request_has_a_principal_and_an_id(client: TestClient, p: Platform) -> None:
    anonymous = client.get("/whoami", headers={"X-Request-Id": "first"})
    assert anonymous.json() == {"actor": "anonymous", "id": "first"}
    assert anonymous.headers["X-Request-Id"] == "first"
    ada = client.get("/whoami", headers=bearer(p))
    (user,) = p.users.search()
    assert ada.json()["actor"] == f"user:{user.id}"
    assert ada.json()["id"] == ada.headers["X-Request-Id"] != "first"
    assert client.get("/nowhere").headers["X-Request-Id"].startswith("req_")
    assert denials(p, 0) == []


@pytest.mark.parametrize("given", ["Basic YTpi", "Bearer", "Bearer ", "Bearer not-one"])
def test_a_token_that_is_none_is_refused_and_audited(client: TestClient, p: Platform, given: str) -> None:
    refused = client.get("/orders/7", headers={"Authorization": given, "X-Request-Id": "first"})
    assert refused.status_code == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert (refused.json()["code"], refused.json()["request_id"]) == ("auth.invalid_token", "first")
    assert denials(p) == [("anonymous", "GET /orders/{id}", "/orders/{id}", "auth.not_signed_in")]


def test_what_was_revoked_is_refused_at_once(client: TestClient, p: Platform) -> None:
    headers = bearer(p)
    assert client.get("/whoami", headers=headers).status_code == 200
    (user,) = p.users.search()
    for session in p.auth.sessions(user.id):
        p.auth.revoke_session(session.id)
    assert client.get("/whoami", headers=headers).json()["code"] == "auth.session_ended"


def test_a_permission_is_asked_for(client: TestClient, p: Platform) -> None:
    assert client.get("/orders/7").json()["code"] == "auth.not_signed_in"
    plain = client.get("/orders/7", headers=bearer(p))
    assert (plain.status_code, plain.json()["context"]) == (403, {"permission": "orders:read"})
    clerk = client.get("/orders/7", headers=bearer(p, "joan@example.org", "orders:read"))
    assert clerk.json()["order"] == "7"
    anonymous, ada = denials(p, 2)
    assert anonymous == ("anonymous", "GET /orders/{id}", "/orders/{id}", "auth.not_signed_in")
    assert ada[0].startswith("user:") and ada[3] == "auth.forbidden"


def test_what_a_domain_refuses_is_answered_and_audited(client: TestClient, p: Platform) -> None:
    headers = bearer(p)
    (ada,) = p.users.search()
    assert client.get(f"/profiles/{ada.id}", headers=headers).json() == {"email": "ada@example.org"}
    joan = p.users.create("joan@example.org")
    assert client.get(f"/profiles/{joan.id}", headers=headers).status_code == 403
    assert [denial[1:] for denial in denials(p)] == [("GET /profiles/{id}", "/profiles/{id}", "auth.forbidden")]


def test_a_fault_tells_nothing_and_stands_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "platform_core"):
        answer = client.get("/broken")
    assert answer.status_code == 500 and "details" not in answer.json()["detail"]
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["shop.broken: the details"]


def test_an_answer_that_has_begun_is_broken_off(client: TestClient) -> None:
    with pytest.raises(NotFoundError):
        client.get("/half")


def test_a_websocket_is_opened_or_not(client: TestClient, p: Platform) -> None:
    with pytest.raises(WebSocketDisconnect) as refused:
        with client.websocket_connect("/socket"):
            pass
    assert refused.value.code == 1008
    assert denials(p) == [("anonymous", "WEBSOCKET /socket", "/socket", "auth.not_signed_in")]
    with client.websocket_connect("/socket", headers=bearer(p, "ada@example.org", "orders:read")) as socket:
        assert socket.receive_text().startswith("user:")


def test_an_application_of_another_kind_is_served_as_well(p: Platform) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse(scope["state"]["principal"].actor)(scope, receive, send)

    client = TestClient(PlatformMiddleware(app, platform=p))
    assert client.get("/").json() == "anonymous"
    assert client.get("/", headers={"Authorization": "Bearer not-one"}).status_code == 401
    assert denials(p) == [("anonymous", "GET unmatched", "unmatched", "auth.not_signed_in")]


def test_fastapi_has_dependencies_over_the_asynchronous_platform(folder: Path) -> None:
    app = FastAPI()

    @app.get("/orders/{id}")
    async def read(id: int, who: Annotated[Principal, Depends(requires("orders:read"))]) -> dict[str, Any]:
        return {"order": id, "for": who.actor}

    async def main() -> None:
        async with AsyncPlatform.open(folder) as p:
            app.add_middleware(PlatformMiddleware, platform=p)
            user = await p.auth.register("ada@example.org", PASSWORD)
            headers = {"Authorization": f"Bearer {(await p.auth.login('ada@example.org', PASSWORD)).access_token}"}
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://shop", headers=headers
            ) as client:
                assert (await client.get("/orders/7")).status_code == 403
                await p.users.put_role("clerk", permissions={"orders:read"})
                await p.users.grant(user, "clerk")
                assert (await client.get("/orders/7")).json() == {"order": 7, "for": f"user:{user}"}

    asyncio.run(main())
    with Platform.open(folder) as p:
        assert [denial[1] for denial in denials(p)] == ["GET /orders/{id}"]
