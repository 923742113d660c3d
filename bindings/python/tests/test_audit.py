"""The audit trail from Python. What the log itself does is tested beside it."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta, timezone

import pytest

from platform_core import ForbiddenError, NotFoundError, Platform, Principal, Profile


def test_what_was_done_stands_in_the_log_with_its_request(p: Platform) -> None:
    begin = datetime.now(timezone.utc) - timedelta(seconds=1)
    request = p.acting_as("shop", correlation_id="req-7")
    ada = request.users.create("ada@example.org")
    request.users.update(ada.id, name="Ada")
    p.settled()
    entries = list(p.audit.events(subject=ada.id, from_time=begin))
    assert sorted(entry.action for entry in entries) == ["users.profile_created", "users.profile_updated"]
    for entry in entries:
        assert (entry.actor, entry.outcome, entry.correlation_id) == ("service:shop", "success", "req-7")
        assert entry.source is not None and entry.source.store == "users"
        assert p.audit.event(entry.index) == entry
    assert list(p.audit.events(subject=ada.id, to_time=begin)) == []
    assert "ada@example.org" not in repr(entries)


def test_an_entry_is_proven_up_to_a_signed_checkpoint(p: Platform, ada: Profile) -> None:
    p.settled()
    (entry,) = p.audit.events(subject=ada.id)
    proof = p.audit.proof(entry.index)
    assert base64.b64decode(proof.leaf_hash) == hashlib.sha256(b"\0" + proof.entry.encode()).digest()
    assert proof.checkpoint.splitlines()[:2] == [p.audit.checkpoint().splitlines()[0], str(proof.tree_size)]
    assert p.audit.proofs([entry.index])[0].leaf_hash == proof.leaf_hash
    assert p.audit.consistency(1).to_size >= proof.tree_size
    assert p.audit.resource("checkpoint").decode() == p.audit.checkpoint()
    with pytest.raises(NotFoundError):
        p.audit.event(1_000_000)


def test_denials_are_recorded(p: Platform) -> None:
    reader = p.acting_as(Principal.service("reports", permissions=["users:read"]))
    with pytest.raises(ForbiddenError):
        list(reader.audit.events())
    reader.audit.record_denied("GET /orders/{id}", "orders")
    found: list[str] = []
    while not found:
        p.settled()
        found = [entry.action for entry in p.audit.events(actor="service:reports") if entry.outcome == "denied"]
    assert found == ["GET /orders/{id}"]
