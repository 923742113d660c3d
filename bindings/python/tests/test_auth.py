"""Sign-in from Python. What the domain itself does is tested beside it."""

from __future__ import annotations

import pytest

from platform_core import AlreadyExistsError, ForbiddenError, InvalidInputError, Platform, Principal, UnauthenticatedError

PASSWORD = "a long enough password"


def test_a_token_is_a_principal_to_act_as(p: Platform) -> None:
    grace = p.auth.register("grace@example.org", PASSWORD, name="Grace")
    client = p.acting_as(Principal.anonymous(), address="203.0.113.7", user_agent="curl")
    pair = client.auth.login("grace@example.org", PASSWORD)
    principal = p.auth.authenticate(pair.access_token)
    assert (principal.actor, principal.user_id, principal.permissions) == (f"user:{grace}", grace, frozenset())
    themselves = p.acting_as(principal)
    assert themselves.users.get(grace).name == "Grace"
    (session,) = themselves.auth.sessions(grace)
    assert (session.id, session.current) == (principal.session_id, True)
    assert (session.address, session.user_agent) == ("203.0.113.7", "curl")
    with pytest.raises(ForbiddenError):
        themselves.users.search().page()
    themselves.auth.logout()
    with pytest.raises(UnauthenticatedError) as ended:
        p.auth.authenticate(pair.access_token)
    assert ended.value.code == "auth.session_ended"


def test_tokens_and_passwords_show_nowhere(p: Platform) -> None:
    p.auth.register("grace@example.org", PASSWORD)
    pair = p.auth.login("grace@example.org", PASSWORD)
    assert pair.access_token not in repr(pair) and pair.refresh_token not in repr(pair)
    assert repr(pair).startswith("TokenPair(access_token='…', token_type='Bearer', expires_in=")
    with pytest.raises(InvalidInputError) as weak:
        p.auth.register("joan@example.org", "hunter2")
    assert "hunter2" not in str(weak.value)


def test_the_same_registration_with_its_key_is_the_same(p: Platform) -> None:
    first = p.auth.register("grace@example.org", PASSWORD, idempotency_key="k")
    assert p.auth.register("grace@example.org", PASSWORD, idempotency_key="k") == first
    with pytest.raises(AlreadyExistsError) as taken:
        p.auth.register("GRACE@example.org", PASSWORD)
    assert taken.value.code == "auth.email_taken"


def test_the_first_administrator_may_do_everything(p: Platform) -> None:
    token = p.auth.setup_token()
    assert token is not None
    pair = p.auth.setup(token, "root@example.org", PASSWORD)
    root = p.acting_as(p.auth.authenticate(pair.access_token))
    assert root.users.put_role("clerk", permissions={"orders:read"}).permissions == {"orders:read"}
    assert p.auth.setup_token() is None
    renewed = p.auth.refresh(pair.refresh_token)
    assert p.auth.authenticate(renewed.access_token).actor == p.auth.authenticate(pair.access_token).actor
    assert len(p.auth.jwks()) == 1 and p.auth.jwks()[0].to_dict()["kty"] == "OKP"
