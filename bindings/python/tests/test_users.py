"""The users domain from Python. What the domain itself does is tested beside it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from platform_core import Error, FailedPreconditionError, InvalidInputError, NotFoundError, Platform, Profile, UserId


def test_a_profile_reads_as_a_frozen_dataclass(p: Platform, ada: Profile) -> None:
    assert ada == p.users.get(ada.id)
    assert ada != p.users.create("grace@example.org")
    assert ada != "ada"
    assert repr(ada).startswith(f"Profile(id='{ada.id}', email='ada@example.org', name='Ada', locale=None, ")
    assert isinstance(ada.created_at, datetime) and ada.created_at.tzinfo is timezone.utc
    assert datetime.now(timezone.utc) - ada.created_at < timedelta(minutes=1)
    with pytest.raises(AttributeError):
        ada.name = "Grace"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    match ada:
        case Profile(email=email, name="Ada"):
            assert email == "ada@example.org"
        case _:
            pytest.fail("it does not match")
    assert ada.to_dict()["roles"] == frozenset()


def test_what_has_a_dictionary_has_no_hash_and_the_rest_has(p: Platform, ada: Profile) -> None:
    assert hash(p.users.role("admin")) == hash(p.users.role("admin"))
    with pytest.raises(TypeError):
        hash(ada)


def test_a_change_keeps_what_is_not_given_and_none_removes(p: Platform, ada: Profile) -> None:
    changed = p.users.update(ada.id, locale="en-GB", attributes={"a": {"b": [1, 2.5, None, True, "x"]}})
    assert (changed.name, changed.locale) == ("Ada", "en-GB")
    assert changed.attributes == {"a": {"b": [1, 2.5, None, True, "x"]}}
    assert p.users.update(ada.id, name=None).name is None
    assert p.users.update(ada.id, status="deactivated").status == "deactivated"


def test_a_stale_version_is_refused(p: Platform, ada: Profile) -> None:
    p.users.update(ada.id, name="Ada L.", version=ada.version)
    with pytest.raises(FailedPreconditionError) as refused:
        p.users.update(ada.id, name="Ada K.", version=ada.version)
    assert refused.value.code == "users.version_mismatch"


def test_an_idempotency_key_makes_a_repetition_the_same(p: Platform) -> None:
    first = p.users.create("grace@example.org", idempotency_key="first")
    assert p.users.create("grace@example.org", idempotency_key="first") == first
    with pytest.raises(Error) as refused:
        p.users.create("joan@example.org", idempotency_key="first")
    assert refused.value.code == "idempotency.key_reused"


def test_what_is_not_what_it_ought_to_be_is_refused_before_the_call(p: Platform) -> None:
    for wrong, code in [("user_x", "request.invalid_id"), ("account_01041040g2081040g2081040g2", "request.invalid_id")]:
        with pytest.raises(InvalidInputError) as refused:
            p.users.get(UserId(wrong))
        assert refused.value.code == code
    with pytest.raises(TypeError, match="is not an instance of 'str'"):
        p.users.get(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidInputError):
        p.users.create("no address")
    with pytest.raises(TypeError):
        p.users.put_role("clerk", permissions="orders:read")


def test_attributes_are_json_and_nothing_else(p: Platform, ada: Profile) -> None:
    deep: dict[str, object] = {}
    for _ in range(100):
        deep = {"a": deep}
    too_much: list[dict[str, object]] = [deep, {"a": float("nan")}, {"a": 1 << 70}]
    for wrong in too_much:
        with pytest.raises(InvalidInputError):
            p.users.update(ada.id, attributes=wrong)
    unknown: list[dict[str, object]] = [{"a": object()}, {"a": {1, 2}}]
    for other in unknown:
        with pytest.raises(TypeError):
            p.users.update(ada.id, attributes=other)
    with pytest.raises(TypeError):
        p.users.update(ada.id, attributes={1: 2})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]


def test_a_list_goes_on_over_its_pages(p: Platform) -> None:
    made = sorted(p.users.create(f"user{number}@example.org").id for number in range(120))
    assert [user.id for user in p.users.search()] == made
    everybody = p.users.search()
    assert [user.id for user in everybody] == [user.id for user in everybody]
    page = everybody.page(limit=100)
    rest = everybody.page(cursor=page.next_cursor)
    assert [user.id for user in page] + [user.id for user in rest.items] == made
    assert (len(page), rest.next_cursor) == (100, None)
    with pytest.raises(InvalidInputError):
        everybody.page(limit=501)
    with pytest.raises(InvalidInputError):
        everybody.page(cursor="§")


def test_an_erased_person_is_gone(p: Platform, ada: Profile) -> None:
    p.users.erase(ada.id)
    with pytest.raises(NotFoundError):
        p.users.get(ada.id)
