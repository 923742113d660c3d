"""A provider for the OpenFeature SDK: flags of the platform in this process, without a network.

>>> from openfeature import api
>>> from openfeature.evaluation_context import EvaluationContext
>>> from platform_core.openfeature import PlatformProvider
>>> flag = p.flags.put("price", {
...     "state": "ENABLED",
...     "variants": {"high": 12, "low": 10},
...     "defaultVariant": "high",
...     "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "low", None]},
... })
>>> api.set_provider_and_wait(PlatformProvider(p))
>>> client = api.get_client()
>>> client.get_integer_value("price", 99)
12
>>> client.get_integer_value("price", 99, EvaluationContext("ada", {"tier": "gold"}))
10
>>> api.clear_providers()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from threading import Thread
from typing import Any, TypeVar, cast

from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEventDetails
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from . import AsyncPlatform, ConflictError, Error, Events, ForbiddenError, InvalidInputError, Platform

__all__ = ["PlatformProvider"]

_Value = TypeVar("_Value")
_Object = Sequence[FlagValueType] | Mapping[str, FlagValueType]


class PlatformProvider(AbstractProvider):
    """Evaluates the flags of a platform, or of an asynchronous one, as whoever it acts as: who has the permission to
    evaluate. An evaluation is done in memory and never waits, so awaiting one costs no more than the await.

    Where a ``Platform`` acts as who may subscribe (permission ``events:subscribe``), changes of flags are told to the handlers
    of ``PROVIDER_CONFIGURATION_CHANGED``, by a thread that ends when the provider is shut down. The platform stays open
    then: it belongs to whoever opened it.
    """

    def __init__(self, platform: Platform | AsyncPlatform) -> None:
        super().__init__()
        self._platform = platform
        self._evaluate = platform.flags.evaluate
        self._events: Events | None = None

    def get_metadata(self) -> Metadata:
        """Its name: ``platform_core``."""
        return Metadata(name="platform_core")

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Refuses a platform that is closed, and begins to tell of changes."""
        if self._platform.closed:
            raise ProviderNotReadyError("the platform is closed")
        if isinstance(self._platform, Platform) and self._events is None:
            try:
                self._events = self._platform.events(stores=["flags"])
            except ForbiddenError:
                return
            Thread(target=self._tell, args=[self._events], name="platform_core.openfeature", daemon=True).start()

    def shutdown(self) -> None:
        """Tells of no more changes."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def _tell(self, events: Events) -> None:
        try:
            for event in events:
                # What concerns all flags, like bucketing, names none.
                changed = [str(event.data["flag"])] if event.event_type == "flags.flag_changed" else None
                self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=changed))
        except ConflictError:
            pass  # The platform was closed.

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        """A flag whose variants are ``true`` and ``false``."""
        return self._resolve(flag_key, default_value, evaluation_context, _boolean)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        """A flag whose variants are strings."""
        return self._resolve(flag_key, default_value, evaluation_context, _string)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        """A flag whose variants are whole numbers."""
        return self._resolve(flag_key, default_value, evaluation_context, _integer)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        """A flag whose variants are numbers."""
        return self._resolve(flag_key, default_value, evaluation_context, _float)

    def resolve_object_details(
        self, flag_key: str, default_value: _Object, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[_Object]:
        """A flag whose variants are objects."""
        return self._resolve(flag_key, default_value, evaluation_context, _object)

    def _resolve(
        self,
        key: str,
        default: _Value,
        context: EvaluationContext | None,
        read: Callable[[Any], _Value | None],
    ) -> FlagResolutionDetails[_Value]:
        try:
            if context is None:
                found = self._evaluate(key)
            else:
                attributes = _plain(context.attributes) if context.attributes else None
                found = self._evaluate(key, targeting_key=context.targeting_key, attributes=attributes)
        except Error as error:
            return _failed(default, _code_of(error), str(error))
        except (TypeError, ValueError) as error:
            return _failed(default, ErrorCode.INVALID_CONTEXT, str(error))
        if found.error_code is not None:
            return _failed(default, ErrorCode(found.error_code), found.error_details, found.metadata)
        value = default
        if found.value is not None:
            given = read(found.value)
            if given is None:
                details = f"the variant {found.variant!r} is not of the type that was asked for"
                return _failed(default, ErrorCode.TYPE_MISMATCH, details, found.metadata)
            value = given
        return FlagResolutionDetails(
            value, reason=Reason(found.reason), variant=found.variant, flag_metadata=found.metadata
        )


def _failed(
    default: _Value, code: ErrorCode, details: str | None, metadata: Mapping[str, Any] | None = None
) -> FlagResolutionDetails[_Value]:
    return FlagResolutionDetails(
        default, error_code=code, error_message=details, reason=Reason.ERROR, flag_metadata=metadata or {}
    )


def _code_of(error: Error) -> ErrorCode:
    if isinstance(error, InvalidInputError):
        return ErrorCode.INVALID_CONTEXT
    # It was closed, or the process was forked.
    return ErrorCode.PROVIDER_NOT_READY if isinstance(error, ConflictError) else ErrorCode.GENERAL


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    # JSON has one kind of number: 3.0 is 3.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _object(value: Any) -> _Object | None:
    return cast(_Object, value) if isinstance(value, dict) else None


def _plain(value: Any) -> Any:
    """A context as JSON has it: a time is its text of RFC 3339."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, Sequence):
        return [_plain(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value
