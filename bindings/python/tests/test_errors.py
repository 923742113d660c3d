"""Errors: one base, a class for each kind."""

from __future__ import annotations

import importlib
import pickle
from typing import Any

import pytest

import platform_core
from platform_core import Error, InternalError, Platform, UserId

native: Any = importlib.import_module("platform_core._platform_core")


def test_every_kind_has_its_class_below_the_base() -> None:
    kinds = native._kinds()
    assert len(kinds) == 11
    for kind in kinds:
        raised = getattr(platform_core, f"{kind}Error")
        assert issubclass(raised, Error) and raised.kind == kind and raised.__doc__
    classes = {name for name in platform_core.__all__ if name.endswith("Error")}
    assert classes == {f"{kind}Error" for kind in kinds} | {"Error"}


def test_an_error_carries_what_the_platform_says_of_it(p: Platform) -> None:
    with pytest.raises(platform_core.NotFoundError) as raised:
        p.users.get(UserId("user_01041040g2081040g2081040g2"))
    error = raised.value
    assert (error.kind, error.code, error.retry_after) == ("NotFound", "users.not_found", None)
    assert error.message == "there is no such user"
    assert str(error).startswith("users.not_found: there is no such user")
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error) and vars(copied) == vars(error)


def test_a_panic_is_an_internal_error_that_names_it(p: Platform, capfd: pytest.CaptureFixture[str]) -> None:
    for is_late in [False, True]:
        with pytest.raises(InternalError) as raised:
            native._panic(p, "on purpose", is_late)
        assert raised.value.code == "platform.panicked"
        assert "on purpose" in raised.value.message
    assert "on purpose" in capfd.readouterr().err
    assert p.users.has_administrator() is False
