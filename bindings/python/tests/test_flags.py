"""Flags from Python. What evaluation itself does is tested beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from platform_core import AsyncPlatform, FailedPreconditionError, InvalidInputError, Platform, Principal, UnauthenticatedError

PRICE: dict[str, Any] = {
    "state": "ENABLED",
    "variants": {"high": {"cents": 1200}, "low": {"cents": 1000}},
    "defaultVariant": "high",
    "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "low", None]},
    "metadata": {"team": "shop"},
}


def test_an_evaluation_tells_value_variant_and_reason(p: Platform) -> None:
    p.flags.put("price", PRICE)
    plain = p.flags.evaluate("price")
    assert (plain.value, plain.variant, plain.reason) == ({"cents": 1200}, "high", "DEFAULT")
    gold = p.flags.evaluate("price", targeting_key="ada", attributes={"tier": "gold"})
    assert (gold.value, gold.variant, gold.reason) == ({"cents": 1000}, "low", "TARGETING_MATCH")
    assert gold.metadata == {"team": "shop"} and gold.error_code is None
    missing = p.flags.evaluate("nothing")
    assert (missing.value, missing.variant, missing.reason, missing.error_code) == (None, None, "ERROR", "FLAG_NOT_FOUND")
    p.flags.kill("price")
    killed = p.flags.evaluate("price")
    assert (killed.value, killed.reason) == (None, "DISABLED")


def test_revisions_tell_who_and_why(p: Platform) -> None:
    flag = p.acting_as("shop", reason="spring").flags.put("price", PRICE)
    p.flags.put("price", {**PRICE, "defaultVariant": "low"}, revision=flag.revision, reason="summer")
    with pytest.raises(FailedPreconditionError):
        p.flags.put("price", PRICE, revision=flag.revision)
    p.flags.restore("price", 1)
    told = [(revision.change, revision.author, revision.reason) for revision in p.flags.revisions("price")]
    assert told == [
        ("restore", "service:python", None),
        ("put", "service:python", "summer"),
        ("put", "service:shop", "spring"),
    ]
    p.flags.delete("price")
    assert list(p.flags.list()) == []


def test_all_at_once_are_tagged(p: Platform) -> None:
    p.flags.put("price", PRICE)
    everything = p.flags.evaluate_all(targeting_key="ada")
    assert everything.flags is not None and [flag.key for flag in everything.flags] == ["price"]
    assert p.flags.evaluate_all(targeting_key="ada", known=everything.etag).flags is None
    assert p.flags.evaluate_all(targeting_key="ada", attributes={"tier": "gold"}).etag != everything.etag


def test_what_cannot_be_evaluated_is_refused(p: Platform) -> None:
    with pytest.raises(InvalidInputError):
        p.flags.evaluate("price", targeting_key="x" * 2_000)
    with pytest.raises(UnauthenticatedError):
        p.acting_as(Principal.anonymous()).flags.evaluate("price")
    with pytest.raises(InvalidInputError) as raised:
        p.flags.put("price", {"variants": 7})
    assert raised.value.code == "flags.invalid_definition"


def test_an_evaluation_is_not_awaited(folder: Path) -> None:
    async def main() -> None:
        async with AsyncPlatform.open(folder) as p:
            await p.flags.put("price", PRICE)
            assert p.flags.evaluate("price").variant == "high"

    asyncio.run(main())
