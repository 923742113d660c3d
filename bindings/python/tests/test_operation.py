"""Mail, copies, and waiting for what follows."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from platform_core import (
    AlreadyExistsError,
    AsyncPlatform,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    Platform,
    Principal,
)


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as takes a message."""

    received: list[str] = []

    def handle(self) -> None:
        """One connection."""
        self.say("220 mail.example.org ESMTP")
        while line := self.rfile.readline().decode().strip():
            word = line.split(" ")[0].upper()
            if word == "EHLO":
                self.say("250 mail.example.org")
            elif word == "DATA":
                self.say("354 go on")
                lines: list[str] = []
                while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(text)
                self.received.append("\n".join(lines))
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def say(self, line: str) -> None:
        """One line of an answer."""
        self.wfile.write(line.encode() + b"\r\n")


@pytest.fixture
def smtp_url() -> Iterator[str]:
    """A server that takes mail."""
    Mailbox.received.clear()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"smtp://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def wait_until_sent(p: Platform, notification: Any) -> None:
    """Until it went out."""
    pause = threading.Event()
    for _ in range(200):
        if p.notifications.get(notification.id).state == "sent":
            return
        pause.wait(0.05)
    raise AssertionError(p.notifications.get(notification.id))


def test_messages_go_out_where_a_server_is_named(folder: Path, smtp_url: str) -> None:
    with Platform.open(folder, smtp_url=smtp_url, mail_from="Shop <shop@example.org>") as p:
        p.notifications.put_template("shipped", "Your order {{ order }}", "It is on its way.")
        wait_until_sent(p, p.notifications.send("shipped", to="ada@example.org", data={"order": 7}))
        assert smtp_url not in repr(p)
    (message,) = Mailbox.received
    assert "Subject: Your order 7" in message and "It is on its way." in message


def test_a_way_out_that_cannot_be_is_refused(folder: Path) -> None:
    for options, code in (
        ({"smtp_url": "http://mail.example.org", "mail_from": "a@example.org"}, "config.invalid_smtp_url"),
        ({"smtp_url": "smtp://127.0.0.1:25", "mail_from": "nobody"}, "config.invalid_sender"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            Platform.open(folder, **options)
        assert caught.value.code == code
    with pytest.raises(TypeError):
        Platform.open(folder, smtp_url="smtp://127.0.0.1:25")


def test_a_copy_is_taken_while_the_folder_is_in_use(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    with Platform.open(folder) as p:
        ada = p.users.create("ada@example.org")
        assert p.backup(copy) >= ada.created_at
        p.users.create("grace@example.org")
        with pytest.raises(AlreadyExistsError) as caught:
            p.backup(copy)
        assert caught.value.code == "backup.exists"
    assert (copy / "data" / "users.db").is_file()
    with Platform.in_memory() as memory, pytest.raises(ConflictError):
        memory.backup(tmp_path / "other")


def test_who_waits_sees_what_they_have_caused(p: Platform) -> None:
    mine = p.acting_as("mine")
    user = mine.users.create("ada@example.org").id
    mine.wait_for(within=30)
    assert len(list(p.audit.events(subject=user))) == 1
    with pytest.raises(ValueError):
        p.wait_for(within=-1)


def test_dead_letters_are_for_who_may(p: Platform) -> None:
    assert list(p.dead_letters.list()) == []
    nobody = p.acting_as(Principal.service("nobody", permissions=[]))
    with pytest.raises(ForbiddenError):
        list(nobody.dead_letters.list())


def test_awaited(folder: Path, tmp_path: Path) -> None:
    async def story() -> None:
        async with AsyncPlatform.open(folder) as p:
            user = (await p.users.create("ada@example.org")).id
            await p.wait_for()
            assert [entry.subject async for entry in p.audit.events(subject=user)] == [user]
            assert [letter async for letter in p.dead_letters.list()] == []
            await p.backup(tmp_path / "copy")
            assert (tmp_path / "copy").is_dir()

    asyncio.run(story())
