"""Every docstring's example is run, and every method has one."""

from __future__ import annotations

import doctest
import inspect
import re
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import platform_core
from platform_core import Platform


def members_of(thing: Any) -> dict[str, Any]:
    """What a class holds itself."""
    return dict(thing.__dict__)


def documented() -> list[tuple[str, str]]:
    """Everything of the package that has a docstring, by name."""
    found = [("platform_core", inspect.getdoc(platform_core) or "")]
    for name in platform_core.__all__:
        thing: Any = getattr(platform_core, name)
        found.append((name, inspect.getdoc(thing) or ""))
        if isinstance(thing, type) and not issubclass(thing, BaseException):
            members = members_of(thing)
            found.extend((f"{name}.{member}", inspect.getdoc(value) or "") for member, value in members.items())
    return found


def class_of(domain: str) -> str:
    """The class behind an attribute."""
    return "".join(word.capitalize() for word in domain.split("_"))


def methods() -> list[tuple[str, str]]:
    """The methods of every domain."""
    attributes = [name for name, value in vars(Platform).items() if inspect.isgetsetdescriptor(value)]
    found: list[tuple[str, str]] = []
    for domain in attributes:
        if domain != "closed":
            members = members_of(getattr(platform_core, class_of(domain)))
            found.extend((domain, name) for name in members if not name.startswith("_"))
    return found


@pytest.mark.parametrize("name, text", [found for found in documented() if ">>>" in found[1]])
def test_an_example_does_what_it_says(name: str, text: str, p: Platform, tmp_path: Path) -> None:
    names: dict[str, Any] = {**{name: getattr(platform_core, name) for name in platform_core.__all__}}
    names |= {"platform_core": platform_core, "p": p, "folder": tmp_path / "other"}
    names |= {"Decimal": Decimal, "datetime": datetime, "timezone": timezone}
    ada = names["ada"] = p.users.create("ada@example.org", name="Ada")
    names["bank"] = p.transactions.open_account("EUR")
    names["purse"] = p.transactions.open_account("EUR", name="Purse", min_balance=0, owner=ada.id)
    parsed = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(parsed, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("domain, method", methods())
def test_a_method_has_docs_and_an_example(domain: str, method: str) -> None:
    text = inspect.getdoc(getattr(getattr(platform_core, class_of(domain)), method)) or ""
    assert ">>>" in text
    awaited = inspect.getdoc(getattr(getattr(platform_core, f"Async{class_of(domain)}"), method)) or ""
    assert awaited.splitlines()[0] == text.splitlines()[0]
    assert ">>>" not in awaited


@pytest.mark.parametrize("readme", ["README.md", "../../README.md"])
def test_the_programs_of_the_readmes_run(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parent.parent / readme).read_text()
    programs = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert programs
    for number, program in enumerate(programs):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        exec(compile(program, readme, "exec"), {})
        assert (folder / "data").is_dir()
