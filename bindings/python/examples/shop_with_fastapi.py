"""An application of FastAPI whose users sign in at the platform. Needs ``platform-core[fastapi]``.

A server runs it with ``uvicorn shop_with_fastapi:app``. Here a client of the tests asks it.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from starlette.testclient import TestClient

from platform_core import Platform, Principal
from platform_core.asgi import PlatformMiddleware, requires

platform = Platform.open("data")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Closes the platform at the end."""
    yield
    platform.close()


app = FastAPI(lifespan=lifespan)
app.add_middleware(PlatformMiddleware, platform=platform)


@app.get("/me")
def me(request: Request) -> dict[str, str | None]:
    """Everybody reads themselves: the users domain checks it."""
    acting: Platform = request.state.platform
    user = request.state.principal.user_id
    return {"name": acting.users.get(user).name if user else None}


@app.get("/orders")
async def orders(who: Annotated[Principal, Depends(requires("orders:read"))]) -> list[str]:
    """Only for clerks."""
    return [f"of {who.actor.partition(':')[0]}s"]


def ask() -> None:
    """Asks as Ada, who becomes a clerk."""
    ada = platform.auth.register("ada@example.org", "a long enough password", name="Ada")
    pair = platform.auth.login("ada@example.org", "a long enough password")
    with TestClient(app, headers={"Authorization": f"Bearer {pair.access_token}"}) as client:
        print(client.get("/me").json())
        refused = client.get("/orders", headers={"X-Request-Id": "first"})
        print(refused.status_code, refused.json()["code"], refused.headers["X-Request-Id"])
        platform.users.put_role("clerk", permissions={"orders:read"})
        platform.users.grant(ada, "clerk")
        print(client.get("/orders").json())


if __name__ == "__main__":
    ask()

# Prints:
# {'name': 'Ada'}
# 403 auth.forbidden first
# ['of users']
