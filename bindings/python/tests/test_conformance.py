"""The scenarios of the conformance folder, in Python and over REST."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from platform_core import Platform
from ways import CONFORMANCE, InPython, OverRest, Refused, Way, is_list, is_object, read

WAYS = ["python", "rest"]
"""The ways of use here: that of the Rust facades is in the tests of the folder itself."""
FILES = {path.name: read(f"scenarios/{path.name}") for path in sorted((CONFORMANCE / "scenarios").glob("*.yaml"))}
SCENARIOS = [(name, way) for name, file in FILES.items() for way in file.get("ways", WAYS) if way in WAYS]
ROOT = {"email": "root@example.org", "password": "a long enough password"}


@pytest.fixture
def way(request: pytest.FixtureRequest, platform: Platform) -> Iterator[Way]:
    """A way of use, over an empty platform."""
    if request.param == "python":
        yield InPython(platform)
    else:
        with platform.serve(listen="127.0.0.1:0") as server:
            yield OverRest(server.url)


@pytest.mark.parametrize(("name", "way"), SCENARIOS, indirect=["way"])
def test_a_scenario_goes_as_it_is_written(name: str, way: Way, platform: Platform) -> None:
    token = platform.auth.setup_token()
    saved: dict[str, Any] = {"root": way.call("auth.setup", {"token": token, **ROOT}, None)}
    for number, step in enumerate(FILES[name]["steps"]):
        problem = attempt(way, step, saved)
        for _ in range(100 if step.get("eventually") else 0):
            if problem is None:
                break
            time.sleep(0.05)
            problem = attempt(way, step, saved)
        assert problem is None, f"{name}, step {number}, {step['call']}: {problem}"


def attempt(way: Way, step: Mapping[str, Any], saved: dict[str, Any]) -> str | None:
    """Does a step; what is not as it is written."""
    arguments = filled(step.get("with", {}), saved)
    who = filled(step.get("as", "$root"), saved)
    token = None if who == "anonymous" else who["access_token"]
    try:
        found = way.call(step["call"], arguments, token)
    except Refused as refused:
        return None if str(refused) == step.get("error") else f"refused with {refused}"
    if "error" in step:
        return f"{step['error']} was expected, not {found}"
    if "save" in step:
        saved[step["save"]] = found
    return difference(found, filled(step["expect"], saved), "the result") if "expect" in step else None


def filled(value: Any, saved: Mapping[str, Any]) -> Any:
    """What is written, with what was saved in the place of names."""
    if is_object(value):
        return {name: filled(one, saved) for name, one in value.items()}
    if is_list(value):
        return [filled(one, saved) for one in value]
    if isinstance(value, str) and value.startswith("$"):
        name, *path = value[1:].split(".")
        found: Any = saved[name]
        for part in path:
            found = found[int(part) if part.isdigit() else part]
        return found
    return value


def difference(found: Any, expected: Any, where: str) -> str | None:
    """Where something is not what was expected; objects may hold more."""
    if expected == "*":
        return None if found is not None else f"{where} is null"
    found_parts, expected_parts = parts(found), parts(expected)
    if found_parts is None or expected_parts is None or (is_list(expected) and len(found_parts) != len(expected_parts)):
        return None if found == expected else f"{where} is {found!r}, not {expected!r}"
    told = (difference(found_parts.get(name), one, f"{where}, {name}") for name, one in expected_parts.items())
    return next((problem for problem in told if problem), None)


def parts(value: Any) -> dict[Any, Any] | None:
    """What an object or a list consists of, by name or number."""
    if is_list(value):
        return dict(enumerate(value))
    return value if is_object(value) else None
