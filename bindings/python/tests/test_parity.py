"""Every public method of a facade is there in every way of use, or has a reason not to be."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import platform_core
from platform_core import Platform
from ways import CONFORMANCE, read

SOURCES = Path(__file__).parents[3] / "platform-core" / "src"
FACADES = {
    "audit": "audit",
    "auth": "auth",
    "dead_letters": "backbone",
    "flags": "flags",
    "gateway": "gateway",
    "notifications": "notifications",
    "transactions": "transactions",
    "users": "users",
}
"""The folder of each facade's sources."""


def facades() -> set[str]:
    """The public methods of the facades, from their sources, without those that only put the parts together."""
    assembly = read("exceptions.yaml")["assembly"]
    found: set[str] = set()
    for domain, folder in FACADES.items():
        for path in (SOURCES / folder).rglob("*.rs"):
            pattern = rf"^impl {class_of(domain)}(?:<'_>)? \{{\n(.*?)^\}}"
            blocks = re.findall(pattern, path.read_text(), re.MULTILINE | re.DOTALL)
            names = (name for block in blocks for name in re.findall(r"^    pub (?:const )?(?:async )?fn (\w+)", block, re.MULTILINE))
            found |= {f"{domain}.{name}" for name in names if name not in assembly}
    return found


def class_of(domain: str) -> str:
    """The name of a facade, in Rust and in Python."""
    return "".join(part.capitalize() for part in domain.split("_"))


def in_python() -> set[str]:
    """The methods that the Python module has."""
    classes: list[tuple[str, Any]] = [(domain, getattr(platform_core, class_of(domain))) for domain in FACADES]
    return {f"{domain}.{name}" for domain, kind in classes for name in dir(kind) if name[0] != "_"}


def missing(way: str) -> set[str]:
    """What a way has not, with a reason."""
    return {method for method, ways in read("exceptions.yaml").items() if "." in method and way in ways}


def requests() -> dict[str, str]:
    """The request of each method, with the names of parameters left out."""
    rules = {method: rule if isinstance(rule, str) else rule["request"] for method, rule in read("rest.yaml").items()}
    return {method: unnamed(request) for method, request in rules.items()}


def unnamed(request: str) -> str:
    """A request whose parameters have no names."""
    return re.sub(r"\{\*?\w+\}", "{}", request)


def test_the_facades_are_found() -> None:
    assert {"users.create", "auth.login", "transactions.submit", "audit.flush"} <= facades()


def test_python_has_every_method_or_a_reason() -> None:
    assert facades() - in_python() == missing("python")
    assert in_python() <= facades()


def test_rest_has_every_method_or_a_reason() -> None:
    assert facades() - set(requests()) == missing("rest")
    assert set(requests()) <= facades()


def test_the_server_has_these_requests_and_no_others(platform: Platform) -> None:
    with platform.serve(listen="127.0.0.1:0") as server:
        with urllib.request.urlopen(f"{server.url}/openapi.json") as answer:
            document: dict[str, Any] = json.load(answer)
    served = {
        unnamed(f"{verb.upper()} {path}")
        for path, verbs in document["paths"].items()
        for verb in verbs
        if re.match("/(v1|ofrep|[.]well-known)/", path)
    }
    others = {unnamed(request) for request in read("exceptions.yaml")["requests"]}
    assert served == set(requests().values()) | others


def test_a_scenario_calls_every_method_that_python_has() -> None:
    steps = [step for path in (CONFORMANCE / "scenarios").glob("*.yaml") for step in read(f"scenarios/{path.name}")["steps"]]
    called = {step["call"] for step in steps} | {"auth.setup"}
    assert called <= facades()
    assert facades() - called == missing("python")


def test_every_reason_is_one() -> None:
    for method, ways in read("exceptions.yaml").items():
        if "." in method:
            assert set(ways) <= {"python", "rest"} and all(len(reason) > 10 for reason in ways.values()), method
