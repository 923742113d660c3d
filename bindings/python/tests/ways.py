"""The ways of use that scenarios run in: in Python, and over REST."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import yaml

from platform_core import Error, NewTransfer, Pages, Platform, Principal, TemplateParts

CONFORMANCE = Path(__file__).parents[3] / "conformance"
TIMES = {"at", "deadline", "from_time", "send_at", "to_time"}
"""Arguments that are times."""


def read(path: str) -> dict[str, Any]:
    """A file of the conformance folder."""
    found: dict[str, Any] = yaml.safe_load((CONFORMANCE / path).read_text())
    return found


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is a list."""
    return isinstance(value, list)


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object."""
    return isinstance(value, dict)


def is_pages(value: Any) -> TypeGuard[Pages[Any]]:
    """Whether it is read page after page."""
    return isinstance(value, Pages)


def is_set(value: Any) -> TypeGuard[frozenset[str]]:
    """Whether it is a set."""
    return isinstance(value, frozenset)


class Refused(Exception):
    """An error of the platform, by its code."""


class Way(Protocol):
    """A way of use."""

    def call(self, method: str, arguments: Mapping[str, Any], token: str | None) -> Any:
        """The result of a method of a facade, as plain data, or ``Refused``. Without a token nobody in particular asks."""


class InPython:
    """The Python module."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def call(self, method: str, arguments: Mapping[str, Any], token: str | None) -> Any:
        """Calls it."""
        domain, name = method.split(".")
        try:
            who = Principal.anonymous() if token is None else self._platform.auth.authenticate(token)
            function = getattr(getattr(self._platform.acting_as(who), domain), name)
            found = function(**{name: typed(name, value) for name, value in arguments.items()})
            return plain(list(found) if is_pages(found) else found)
        except Error as error:
            raise Refused(error.code) from error


class OverRest:
    """The server, by the requests that ``rest.yaml`` says."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._requests = read("rest.yaml")

    def call(self, method: str, arguments: Mapping[str, Any], token: str | None) -> Any:
        """Sends the request, and those for the pages that follow."""
        rule: Any = self._requests[method]
        rule = {"request": rule} if isinstance(rule, str) else rule
        found, cursor = self._ask(rule, dict(arguments), token, None)
        while cursor:
            more, cursor = self._ask(rule, dict(arguments), token, cursor)
            found += more
        if is_list(found):
            return [shaped(rule, one) for one in found]
        return shaped(rule, found)

    def _ask(self, rule: Any, rest: dict[str, Any], token: str | None, cursor: str | None) -> tuple[Any, str | None]:
        verb, path = rule["request"].split(" ")
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        path = re.sub(r"\{(\w+)\}", lambda name: urllib.parse.quote(str(rest.pop(name[1]))), path)
        if (expected := rest.pop(rule.get("if_match", ""), None)) is not None:
            headers["If-Match"] = f'"{expected}"'
        for name, header in {**rule.get("header", {}), "idempotency_key": "Idempotency-Key"}.items():
            if name in rest:
                headers[header] = rest.pop(name)
        if "context" in rule:
            key, attributes = (rest.pop(name, None) for name in rule["context"])
            rest["context"] = {**(attributes or {}), **({"targetingKey": key} if key is not None else {})}
        rest = {rule.get("rename", {}).get(name, name): value for name, value in rest.items()}
        if "body" in rule:
            rest = rest[rule["body"]]
        body = None
        if verb in ("GET", "DELETE"):
            query = {**rest, **({"cursor": cursor} if cursor else {})}
            path += "?" + urllib.parse.urlencode(query) if query else ""
        else:
            headers["Content-Type"] = "application/json"
            body = json.dumps(rest).encode()
        request = urllib.request.Request(self._url + path, body, headers, method=verb)
        return answer(rule, request)


def answer(rule: Any, request: urllib.request.Request) -> tuple[Any, str | None]:
    """What a server says: the result, or the items of a page and where the next begins."""
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            headers, raw = reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            headers, raw = error.headers, error.read()
        problem: dict[str, Any] = json.loads(raw)
        if "code" in problem:
            raise Refused(problem["code"]) from error
    if "json" not in headers.get("Content-Type", ""):
        return raw.decode() or None, None
    found: Any = json.loads(raw)
    if "etag" in rule:
        found[rule["etag"]] = int(headers["ETag"].strip('"'))
    if "pick" in rule:
        found = found[rule["pick"]]
    elif "items" in found:
        return found["items"], found.get("next_cursor")
    return found, None


def shaped(rule: Any, found: Any) -> Any:
    """A result with the names that it has in Python."""
    if not is_object(found):
        return found
    one = {rule.get("rename_result", {}).get(name, name): value for name, value in found.items()}
    for field, others in rule.get("gather", {}).items():
        gathered = {name: value for name, value in one.items() if name not in others}
        one = {**{name: one[name] for name in others if name in one}, field: gathered}
    return one


def typed(name: str, value: Any) -> Any:
    """An argument as the Python module takes it."""
    if name in TIMES:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    if name == "transfers":
        return [NewTransfer(**one) for one in value]
    if name == "locales":
        return {locale: TemplateParts(**parts) for locale, parts in value.items()}
    return value


def plain(value: Any) -> Any:
    """A result as data of JSON."""
    if is_set(value):
        return sorted(value)
    if is_list(value):
        return [plain(one) for one in value]
    if is_object(value):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    return value
