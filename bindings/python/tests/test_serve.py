"""The server within the process, over the platform that is open there."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from platform_core import AsyncPlatform, ConflictError, InvalidInputError, Platform, UnavailableError

PASSWORD = "a long enough password"


def ask(url: str, *, token: str | None = None, body: dict[str, Any] | None = None) -> Any:
    """What the server answers."""
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
        return json.load(answer)


def is_silent(url: str) -> bool:
    """Whether nobody answers there."""
    try:
        urllib.request.urlopen(url + "/readyz", timeout=5).close()
    except (urllib.error.URLError, ConnectionError):
        return True
    return False


def test_both_ways_see_the_same(p: Platform) -> None:
    ada = p.auth.register("ada@example.org", PASSWORD, name="Ada")
    with p.serve(listen="127.0.0.1:0") as server:
        assert server.address.startswith("127.0.0.1:") and server.url == f"http://{server.address}"
        assert repr(server) == f"<Serving {server.url}>"
        login = {"email": "ada@example.org", "password": PASSWORD}
        pair = ask(server.url + "/v1/auth/login", body=login)
        assert ask(f"{server.url}/v1/users/{ada}", token=pair["access_token"])["name"] == "Ada"
        assert p.auth.authenticate(pair["access_token"]).user_id == ada
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(f"{server.url}/v1/users/{ada}")
        assert caught.value.code == 401
        caught.value.close()
    assert is_silent(server.url)
    server.stop()
    assert p.users.get(ada).name == "Ada"


def test_closing_the_platform_stops_its_servers(folder: Path) -> None:
    p = Platform.open(folder)
    one, two = p.serve(listen="127.0.0.1:0"), p.serve(listen="127.0.0.1:0")
    one.stop()
    assert is_silent(one.url) and not is_silent(two.url)
    p.close()
    assert is_silent(two.url)
    two.stop()
    with pytest.raises(ConflictError):
        p.serve(listen="127.0.0.1:0")
    Platform.open(folder).close()


def test_what_cannot_be_is_refused(p: Platform, tmp_path: Path) -> None:
    with p.serve(listen="127.0.0.1:0") as server, pytest.raises(UnavailableError) as caught:
        p.serve(listen=server.address)
    assert caught.value.code == "server.cannot_listen"

    def refusal(**options: Any) -> str:
        with pytest.raises(InvalidInputError) as refused:
            p.serve(**options)
        return refused.value.code

    assert refusal(listen="localhost") == "request.invalid_address"
    assert refusal(listen="127.0.0.1:0", trusted_proxies=["nobody"]) == "request.invalid_address"
    assert refusal(listen="127.0.0.1:0", tls_key=tmp_path / "key.pem") == "config.invalid_tls"
    missing = {"tls_key": tmp_path / "key.pem", "tls_certificates": tmp_path / "chain.pem"}
    assert refusal(listen="127.0.0.1:0", **missing) == "config.invalid_tls"


def test_requests_of_many_threads_and_calls_go_on_beside_each_other(p: Platform) -> None:
    statuses: list[int] = []
    with p.serve(listen="127.0.0.1:0") as server:

        def request() -> None:
            for _ in range(20):
                with urllib.request.urlopen(server.url + "/livez", timeout=10) as answer:
                    statuses.append(answer.status)

        threads = [threading.Thread(target=request) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(20):
            p.users.create(f"user{number}@example.org")
        for thread in threads:
            thread.join()
    assert statuses == [200] * 80


def test_awaited() -> None:
    async def story() -> None:
        async with AsyncPlatform.in_memory() as p:
            async with p.serve(listen="127.0.0.1:0") as server:
                answer = await asyncio.to_thread(urllib.request.urlopen, server.url + "/readyz", timeout=10)
                assert answer.status == 200
                answer.close()
            assert await asyncio.to_thread(is_silent, server.url)
            await server.stop()
            other = p.serve(listen="127.0.0.1:0")
        assert await asyncio.to_thread(is_silent, other.url)
        await other.stop()

    asyncio.run(story())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_of_a_fork_neither_serves_nor_stops_the_server(p: Platform) -> None:
    with p.serve(listen="127.0.0.1:0") as server:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                server.stop()
                p.serve(listen="127.0.0.1:0")
            except ConflictError as error:
                code = 7 if error.code == "platform.forked" else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7
        assert not is_silent(server.url)
