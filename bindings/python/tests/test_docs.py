"""Every docstring's example is run, and every method has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
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


def integrations() -> list[str]:
    """The modules beside the package itself."""
    return [found.name for found in pkgutil.iter_modules(platform_core.__path__) if not found.name.startswith("_")]


def documented_beside() -> list[tuple[str, str, str]]:
    """Everything of those modules that has a docstring, by name."""
    found: list[tuple[str, str, str]] = []
    for name in integrations():
        module = importlib.import_module(f"platform_core.{name}")
        found.append((name, "", inspect.getdoc(module) or ""))
        found.extend((name, public, inspect.getdoc(getattr(module, public)) or "") for public in module.__all__)
    return found


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
    run_example(name, text, p, tmp_path)


@pytest.mark.parametrize("module, name, text", [found for found in documented_beside() if ">>>" in found[2]])
def test_an_example_of_an_integration_does(module: str, name: str, text: str, p: Platform, tmp_path: Path) -> None:
    members = importlib.import_module(f"platform_core.{module}").__dict__
    run_example(f"{module}.{name}", text, p, tmp_path, members)


@pytest.mark.parametrize("module", integrations())
def test_an_integration_is_documented(module: str) -> None:
    assert all(text for name, _, text in documented_beside() if name == module)


def run_example(name: str, text: str, p: Platform, tmp_path: Path, members: Mapping[str, Any] | None = None) -> None:
    """Runs the example of a docstring, with the names that examples use."""
    names: dict[str, Any] = {**{name: getattr(platform_core, name) for name in platform_core.__all__}, **(members or {})}
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
