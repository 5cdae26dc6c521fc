"""The drawing of docs/architecture.md, held to the code: who may import whom, and which library lives where."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "gateway"

NOUNS = {"domain", "errors", "recurring"}
RULES = {"routing", "recording", "feedback", "query", "access", "erasing", "moving"}
WIRING = {"app", "gauges", "provisioning", "running", "urls"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "domain": {"errors"},
    "recurring": {"errors"},
    "config": NOUNS,
    "wire": NOUNS,
    "store": NOUNS,
    "upstream": NOUNS,
    "demo": {"errors"},
    "client": {"domain"},
    "access": NOUNS | {"store"},
    "erasing": NOUNS | {"store"},
    "moving": NOUNS | {"store"},
    "feedback": NOUNS | {"store"},
    "query": NOUNS | {"store", "wire"},
    "recording": NOUNS | {"store", "wire"},
    "routing": NOUNS | {"upstream", "wire"},
    "telemetry": NOUNS | {"store", "wire"},
    "web": NOUNS | {"access"},
    "proxy": NOUNS | {"access", "recording", "routing", "upstream", "web", "wire"},
    "api": NOUNS | {"access", "erasing", "feedback", "query", "store", "web", "wire"},
    "ui": NOUNS | {"access", "feedback", "query", "store", "web", "wire"},
    "urls": NOUNS | {"web"},
    "provisioning": NOUNS | RULES | {"config", "proxy", "store", "telemetry", "upstream", "wire"},
    "gauges": NOUNS | {"access", "api", "proxy", "recording", "upstream"},
    "running": NOUNS
    | RULES
    | {"api", "config", "provisioning", "proxy", "store", "telemetry", "upstream", "urls", "web"},
    "app": NOUNS
    | RULES
    | {
        "api",
        "config",
        "gauges",
        "provisioning",
        "proxy",
        "running",
        "store",
        "ui",
        "upstream",
        "urls",
        "web",
    }
    | {"wire"},
    "server": NOUNS | {"app", "config", "demo", "provisioning", "running", "urls"},
    "cli": NOUNS | RULES | {"api", "app", "client", "config", "provisioning", "server", "store", "wire"},
    "__main__": {"cli"},
}
"""The rooms, and what each may know besides itself: only what is below it, and never a room on its own floor."""

HOMES = {
    "aiohappyeyeballs": {"upstream"},
    "aiohttp": {"api", "demo", "proxy", "server", "ui", "urls", "web"},
    "brotli": {"wire"},
    "click": {"cli"},
    "genai_prices": {"wire"},
    "httptools": {"upstream"},
    "httpx": {"cli", "client", "telemetry"},
    "jinja2": {"api", "ui"},
    "markupsafe": {"api", "ui"},
    "opentelemetry": {"telemetry"},
    "orjson": {
        "access",
        "api",
        "cli",
        "proxy",
        "query",
        "recording",
        "store",
        "telemetry",
        "ui",
        "web",
        "wire",
    },
    "prometheus_client": {"api"},
    "psycopg": {"store"},
    "pydantic": {"api", "config", "web"},
    "pydantic_core": {"config", "web"},
    "sqlite3": {"store"},
    "structlog": {"access", "query", "recording", "recurring", "server", "store", "telemetry", "web"},
    "uvloop": {"server"},
    "yaml": {"config"},
    "zstandard": {"cli", "store", "wire"},
}
"""Where each library may be imported: taking one away means opening these folders and no others."""

STORE_DOORS = {
    "gateway.store",
    "gateway.store.administration",
    "gateway.store.base",
    "gateway.store.figures",
    "gateway.store.spill",
}
"""What of the store is for other rooms; SQL and columns are not."""

VENDORS = re.compile("portkey|helicone|pharia", re.IGNORECASE)
VENDORS_ARE_NAMED_IN = (
    "gateway/api/", "gateway/proxy/", "gateway/config/", "gateway/cli/", "gateway/ui/", "gateway/web/auth.py",
    "gateway/app.py", "gateway/provisioning.py", "gateway/routing/router.py", "gateway/store/secrets.py",
    "gateway/domain/credentials.py",
)  # fmt: skip
"""Faces, the names of headers and of configuration keys, and the wiring. The cores have never heard of them."""

MOST_LINES = 500


@dataclass(frozen=True)
class Module:
    """A module of the package as it is written."""

    name: str
    file: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.split(".")[1] if "." in self.name else PACKAGE


def read_modules() -> list[Module]:
    modules = []
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, str(file.relative_to(ROOT)), ast.parse(file.read_text())))
    return modules


MODULES = read_modules()
NAMES = {module.name for module in MODULES}


def imports(module: Module, *, is_lazy_too: bool = True) -> Iterator[str]:
    """The modules that a module imports, by full name; those inside functions only if asked for."""
    for node in ast.walk(module.tree) if is_lazy_too else module.tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module.file}: imports are absolute"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in NAMES else str(node.module) for name in below)


def room_of(name: str) -> str:
    return name.split(".")[1] if "." in name else PACKAGE


def test_every_room_has_its_place_in_the_drawing() -> None:
    assert {module.room for module in MODULES} - {PACKAGE} - set(MAY_IMPORT) == set()


def test_a_module_imports_only_its_own_room_and_those_below() -> None:
    assert [
        f"{module.file} imports {name}"
        for module in MODULES
        for name in imports(module)
        if module.room != PACKAGE and name.startswith(f"{PACKAGE}.")
        if room_of(name) not in MAY_IMPORT[module.room] | {module.room}
    ] == []


def test_no_floor_is_below_itself() -> None:
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()


def test_each_library_stays_at_home() -> None:
    known = sys.stdlib_module_names - set(HOMES) | {PACKAGE}
    assert [
        f"{module.file} imports {name}"
        for module in MODULES
        for name in imports(module)
        if name.split(".")[0] not in known and module.room not in HOMES.get(name.split(".")[0], set())
    ] == []


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {
        module.name: {name for name in imports(module, is_lazy_too=False) if name in NAMES}
        for module in MODULES
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_the_inside_of_the_store_is_known_to_the_store_alone() -> None:
    assert [
        f"{module.file} imports {name}"
        for module in MODULES
        for name in imports(module)
        if module.room != "store" and room_of(name) == "store" and name not in STORE_DOORS
    ] == []


def test_dialects_do_not_know_each_other() -> None:
    assert [
        f"{module.file} imports {name}"
        for module in MODULES
        for name in imports(module)
        if module.room == "api" and name.startswith("gateway.api.")
        if name.split(".")[2:3] != module.name.split(".")[2:3]
    ] == []


def test_vendors_are_named_only_where_they_are_spoken_to() -> None:
    assert [
        f"{module.file} says {word!r}"
        for module in MODULES
        for word in words(module.tree)
        if not module.file.startswith(VENDORS_ARE_NAMED_IN) and VENDORS.search(word)
    ] == []


def words(tree: ast.Module) -> Iterator[str]:
    """Every name and text in a module's code, without its docstrings."""
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in documentation:
            yield str(node.value)
        for field in ("id", "attr", "arg", "name"):
            if isinstance(word := getattr(node, field, None), str):
                yield word


@pytest.mark.parametrize("folder", ["gateway", "tests"])
def test_no_file_is_longer_than_can_be_read_at_a_sitting(folder: str) -> None:
    files = (ROOT / folder).rglob("*.py")
    lengths = {str(file.relative_to(ROOT)): file.read_text().count("\n") for file in files}
    assert {file: length for file, length in lengths.items() if length > MOST_LINES} == {}


def test_every_module_says_what_it_is_for() -> None:
    assert [module.file for module in MODULES if not ast.get_docstring(module.tree)] == []


def test_nothing_is_changed_at_the_level_of_a_module() -> None:
    assert [
        module.file for module in MODULES for node in ast.walk(module.tree) if isinstance(node, ast.Global)
    ] == []
