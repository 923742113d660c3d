"""The provider for OpenFeature, through the official SDK."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import Reason

from platform_core import AsyncPlatform, Platform, Principal
from platform_core.openfeature import PlatformProvider


def flag(variants: dict[str, Any], default: str | None, **more: Any) -> dict[str, Any]:
    """A definition."""
    return {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}


@pytest.fixture
def p(platform: Platform) -> Platform:
    """In memory."""
    return platform


@pytest.fixture
def client(p: Platform) -> Iterator[OpenFeatureClient]:
    """A client whose provider is the platform."""
    p.flags.put("beta", flag({"on": True, "off": False}, "on"))
    p.flags.put("greeting", flag({"short": "hi"}, "short", metadata={"team": "shop"}))
    p.flags.put("limit", flag({"few": 3, "many": 4.0}, "many"))
    p.flags.put("share", flag({"half": 0.5, "whole": 1}, "half"))
    p.flags.put("theme", flag({"dark": {"background": [0, 0, 0]}}, "dark"))
    gold = {"if": [{"==": [{"var": "customer.tier"}, "gold"]}, "low", None]}
    p.flags.put("price", flag({"high": 12, "low": 10}, "high", targeting=gold))
    mine = {"if": [{"==": [{"var": "targetingKey"}, "ada"]}, "on", "off"]}
    p.flags.put("mine", flag({"on": True, "off": False}, "off", targeting=mine))
    p.settled()
    api.set_provider_and_wait(PlatformProvider(p))
    yield api.get_client()
    api.clear_providers()


def test_every_type_is_read_as_what_it_is(client: OpenFeatureClient) -> None:
    assert client.get_boolean_value("beta", False) is True
    assert client.get_string_value("greeting", "none") == "hi"
    whole = client.get_integer_value("limit", 0)
    assert whole == 4 and isinstance(whole, int)
    assert client.get_float_value("share", 0.0) == 0.5
    assert client.get_object_value("theme", {}) == {"background": [0, 0, 0]}


def test_details_tell_variant_reason_and_metadata(client: OpenFeatureClient, p: Platform) -> None:
    details = client.get_string_details("greeting", "none")
    assert (details.variant, details.reason, details.flag_metadata) == ("short", Reason.STATIC, {"team": "shop"})
    assert client.get_integer_details("price", 0).reason == Reason.DEFAULT
    p.flags.kill("greeting")
    killed = client.get_string_details("greeting", "none")
    assert (killed.value, killed.variant, killed.reason, killed.error_code) == ("none", None, Reason.DISABLED, None)


def test_the_context_decides(client: OpenFeatureClient) -> None:
    gold = EvaluationContext("ada", {"customer": {"tier": "gold", "since": datetime(2020, 1, 1, tzinfo=timezone.utc)}})
    details = client.get_integer_details("price", 0, gold)
    assert (details.value, details.variant, details.reason) == (10, "low", Reason.TARGETING_MATCH)
    assert client.get_integer_value("price", 0, EvaluationContext("ada", {"customer": {"tier": "tin"}})) == 12
    assert client.get_boolean_value("mine", False, EvaluationContext("ada")) is True
    assert client.get_boolean_value("mine", True, EvaluationContext("joan")) is False
    api.set_evaluation_context(EvaluationContext("ada"))
    try:
        assert client.get_boolean_value("mine", False) is True
    finally:
        api.set_evaluation_context(EvaluationContext())


@pytest.mark.parametrize(
    "key, code",
    [("nothing", ErrorCode.FLAG_NOT_FOUND), ("greeting", ErrorCode.TYPE_MISMATCH), ("beta", ErrorCode.TYPE_MISMATCH)],
)
def test_a_failure_gives_the_default_and_its_code(client: OpenFeatureClient, key: str, code: ErrorCode) -> None:
    details = client.get_integer_details(key, 7)
    assert (details.value, details.reason, details.error_code) == (7, Reason.ERROR, code)
    assert details.error_message


def test_a_context_that_cannot_be_is_an_invalid_one(client: OpenFeatureClient) -> None:
    cannot: dict[str, Any] = {"of": object()}
    for context in (EvaluationContext("x" * 2_000), EvaluationContext("ada", cannot)):
        details = client.get_boolean_details("beta", False, context)
        assert (details.value, details.error_code) == (False, ErrorCode.INVALID_CONTEXT)


def test_who_may_not_evaluate_and_a_closed_platform_get_defaults(p: Platform) -> None:
    p.flags.put("beta", flag({"on": True}, "on"))
    nobody = PlatformProvider(p.acting_as(Principal.anonymous()))
    assert nobody.resolve_boolean_details("beta", False).error_code == ErrorCode.GENERAL
    provider = PlatformProvider(p)
    p.close()
    assert provider.resolve_boolean_details("beta", False).error_code == ErrorCode.PROVIDER_NOT_READY
    with pytest.raises(ProviderNotReadyError):
        provider.initialize(EvaluationContext())


def test_changes_are_told(client: OpenFeatureClient, p: Platform) -> None:
    told: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
    client.add_handler(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, lambda details: told.put(details.flags_changed))
    p.flags.kill("beta")
    p.flags.put_set(metadata={"team": "shop"})
    assert [told.get(timeout=10), told.get(timeout=10)] == [["beta"], None]
    api.clear_providers()
    assert "platform_core.openfeature" not in names_of_threads()
    p.flags.put("late", flag({"on": True}, "on"))
    assert told.empty()


def test_who_may_not_subscribe_is_told_nothing(p: Platform) -> None:
    p.flags.put("beta", flag({"on": True}, "on"))
    api.set_provider_and_wait(PlatformProvider(p.acting_as(Principal.service("guest", permissions=[]))))
    assert "platform_core.openfeature" not in names_of_threads()
    assert api.get_client().get_boolean_value("beta", False) is True
    api.clear_providers()


def names_of_threads() -> set[str]:
    """The threads of Python that are there, after those that end were given the time to."""
    names = {thread.name for thread in threading.enumerate()}
    for _ in range(100):
        if "platform_core.openfeature" not in names:
            break
        time.sleep(0.01)
        names = {thread.name for thread in threading.enumerate()}
    return names


def test_evaluations_are_awaited() -> None:
    async def main() -> None:
        async with AsyncPlatform.in_memory() as p:
            await p.flags.put("beta", flag({"on": True}, "on"))
            api.set_provider_and_wait(PlatformProvider(p))
            client = api.get_client()
            assert await client.get_boolean_value_async("beta", False) is True
            assert (await client.get_string_details_async("beta", "no")).error_code == ErrorCode.TYPE_MISMATCH
            api.clear_providers()

    asyncio.run(main())
