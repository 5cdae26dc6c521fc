"""The drawing of docs/architecture.md, held to the code: who may import whom, and which library lives where."""

from __future__ import annotations

import ast
import graphlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.code_metrics import measure_package

ROOT = Path(__file__).parent.parent
PACKAGE = "gateway"

MODELS = {"models", "errors", "periodic"}
RULES = {"alerts", "auth", "datasets", "experiments", "feedback", "query", "recording", "reviews", "routing"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "models": {"errors"},
    "periodic": {"errors"},
    "config": MODELS,
    "wire": MODELS,
    "store": MODELS,
    "upstream": MODELS,
    "demo": MODELS,
    "client": {"models"},
    "auth": MODELS | {"store"},
    "feedback": MODELS | {"store"},
    "query": MODELS | {"store", "wire"},
    "datasets": MODELS | {"query", "store"},
    "alerts": MODELS | {"query", "store", "upstream"},
    "reviews": MODELS | {"query", "store"},
    "experiments": MODELS | {"query", "store"},
    "recording": MODELS | {"store", "wire"},
    "routing": MODELS | {"store", "upstream", "wire"},
    "telemetry": MODELS | {"store", "wire"},
    "web": MODELS | {"auth", "wire"},
    "proxy": MODELS | {"auth", "recording", "routing", "upstream", "web", "wire"},
    "api": MODELS | RULES - {"routing"} | {"web", "wire"},
    "ui": MODELS
    | {"alerts", "auth", "datasets", "experiments", "feedback", "query", "reviews", "web", "wire"},
    "routes": MODELS | {"proxy", "web"},
    "runtime": MODELS | RULES | {"config", "proxy", "store", "telemetry", "upstream", "wire"},
    "status": MODELS | {"api", "auth", "config", "proxy", "recording", "store", "ui", "upstream"},
    "app": MODELS
    | RULES
    | {"api", "config", "proxy", "routes", "runtime", "status", "store", "telemetry", "ui", "upstream"}
    | {"web", "wire"},
    # The ingester's process joins its parts without the rest of a gateway.
    "server": MODELS
    | {
        "app",
        "config",
        "demo",
        "proxy",
        "recording",
        "routes",
        "runtime",
        "store",
        "telemetry",
        "web",
        "wire",
    },
    "cli": MODELS | RULES | {"api", "app", "client", "config", "demo", "runtime", "server", "store", "wire"},
    "__main__": {"cli"},
}
"""The packages, and what each may import besides itself: only lower layers."""

LIBRARIES = {
    "aiohappyeyeballs": {"upstream"},
    "aiohttp": {"api", "demo", "proxy", "routes", "server", "ui", "web"},
    "aiosqlite": {"store"},
    "brotli": {"wire"},
    "click": {"cli"},
    "datasette": {"cli"},
    "genai_prices": {"wire"},
    "httptools": {"server", "upstream"},
    "httpx": {"cli", "client", "telemetry"},
    "jinja2": {"ui"},
    "jsonschema": {"routing"},
    "markdown_it": {"ui"},
    "markupsafe": {"alerts", "ui"},
    "nh3": {"ui"},
    "opentelemetry": {"telemetry"},
    "orjson": {
        "alerts",
        "api",
        "auth",
        "cli",
        "datasets",
        "feedback",
        "proxy",
        "query",
        "routing",
        "recording",
        "server",
        "store",
        "telemetry",
        "ui",
        "web",
        "wire",
    },
    "pandas": {"client"},
    "prometheus_client": {"api"},
    "psycopg": {"store"},
    "pygal": {"alerts", "ui"},
    "pyarrow": {"cli", "datasets"},
    "pydantic": {"api", "client", "config", "datasets", "routing", "web"},
    "pydantic_core": {"config", "web"},
    "pygments": {"ui"},
    # The command line names its type alone: Datasette hands connections to the store.
    "sqlite3": {"cli", "store"},
    "referencing": {"routing"},
    "regex": {"routing"},
    "structlog": {
        "alerts",
        "auth",
        "datasets",
        "feedback",
        "periodic",
        "proxy",
        "query",
        "recording",
        "routing",
        "server",
        "store",
        "telemetry",
        "web",
    },
    "uvicorn": {"cli"},
    "uvloop": {"server"},
    "yaml": {"config"},
    "zstandard": {"cli", "store", "wire"},
}
"""Where each library may be imported: replacing one means opening these packages and no others."""

STORE_INTERFACE = {
    "gateway.store",
    "gateway.store.automation",
    "gateway.store.base",
    "gateway.store.journal",
    "gateway.store.journal_files",
    "gateway.store.journal_state",
    "gateway.store.locks",
    "gateway.store.transfer",
}
"""What of the store other packages use; SQL and columns are private to it."""

VENDORS = re.compile("portkey|helicone|pharia", re.IGNORECASE)
VENDORS_ARE_NAMED_IN = (
    "gateway/api/", "gateway/proxy/", "gateway/config/", "gateway/cli/", "gateway/ui/",
    "gateway/web/middleware.py", "gateway/web/openapi.py",
    "gateway/app.py", "gateway/runtime.py", "gateway/routing/", "gateway/store/rows.py",
    "gateway/models/principal.py", "gateway/models/route.py",
)  # fmt: skip
"""APIs, names of headers and of configuration keys, and the wiring. Nothing else depends on a vendor."""

MOST_LINES = 500

# Below this a module is folded into its only importer.
FEWEST_LINES = 60

# A provider's format is a module of its own, however short.
SHORT_FORMATS = {"gateway/wire/ernie.py"}

# Lists that put many modules together: that one of them alone imports a module is what they are for.
LISTS = {"gateway.store.sql_store"}

# Resources and roles that several packages have a module of, under one name.
SHARED_NAMES = {
    "alerts", "anthropic", "audit", "automation", "compare", "connection", "conversation", "credentials",
    "datasets", "dialect", "erasure", "errors", "experiments", "export", "exports", "feedback",
    "feedback_form", "files", "filters", "formats", "groups", "guardrails", "imported", "imports", "ingester",
    "ingestion", "keys", "logs",
    "maintenance", "metrics", "models", "network", "openai", "overview", "preview", "replay", "report", "request",
    "requests", "response", "reviews", "route", "routes", "rules", "schemas", "search", "storage", "store",
    "tail", "users", "webhooks", "websocket",
}  # fmt: skip


@dataclass(frozen=True)
class Module:
    """A module of the package as it is written."""

    name: str
    file: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name.split(".")[1] if "." in self.name else PACKAGE


@cache
def read_modules() -> list[Module]:
    modules = []
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, str(file.relative_to(ROOT)), ast.parse(file.read_text())))
    return modules


@cache
def module_names() -> set[str]:
    return {module.name for module in read_modules()}


def imports(module: Module, *, is_lazy_too: bool = True) -> Iterator[str]:
    """The modules that a module imports, by full name; those inside functions only if asked for."""
    for node in ast.walk(module.tree) if is_lazy_too else module.tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module.file}: imports are absolute"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in module_names() else str(node.module) for name in below)


def package_of(name: str) -> str:
    return name.split(".")[1] if "." in name else PACKAGE


def test_every_package_has_its_layer() -> None:
    assert {module.package for module in read_modules()} - {PACKAGE} - set(MAY_IMPORT) == set()


def test_a_module_imports_only_its_own_package_and_lower_layers() -> None:
    assert [
        f"{module.file} imports {name}"
        for module in read_modules()
        for name in imports(module)
        if module.package != PACKAGE and name.startswith(f"{PACKAGE}.")
        if package_of(name) not in MAY_IMPORT[module.package] | {module.package}
    ] == []


def test_layers_have_no_circle() -> None:
    graphlib.TopologicalSorter(MAY_IMPORT).prepare()


def test_each_library_is_imported_only_where_it_may_be() -> None:
    known = sys.stdlib_module_names - set(LIBRARIES) | {PACKAGE}
    assert [
        f"{module.file} imports {name}"
        for module in read_modules()
        for name in imports(module)
        if name.split(".")[0] not in known and module.package not in LIBRARIES.get(name.split(".")[0], set())
    ] == []


def test_modules_have_no_import_circle() -> None:
    graph = {
        module.name: {name for name in imports(module, is_lazy_too=False) if name in module_names()}
        for module in read_modules()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_other_packages_use_only_the_interface_of_the_store() -> None:
    assert [
        f"{module.file} imports {name}"
        for module in read_modules()
        for name in imports(module)
        if module.package != "store" and package_of(name) == "store" and name not in STORE_INTERFACE
    ] == []


def test_dialects_do_not_know_each_other() -> None:
    assert [
        f"{module.file} imports {name}"
        for module in read_modules()
        for name in imports(module)
        if module.package == "api" and name.startswith("gateway.api.")
        if name.split(".")[2:3] != module.name.split(".")[2:3]
    ] == []


def test_vendors_are_named_only_where_they_are_spoken_to() -> None:
    assert [
        f"{module.file} says {word!r}"
        for module in read_modules()
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
def test_no_module_is_longer_than_500_lines(folder: str) -> None:
    files = (ROOT / folder).rglob("*.py")
    lengths = {str(file.relative_to(ROOT)): file.read_text().count("\n") for file in files}
    assert {file: length for file, length in lengths.items() if length > MOST_LINES} == {}


def test_no_small_module_is_for_one_neighbour_alone() -> None:
    importers: dict[str, set[str]] = {}
    for module in read_modules():
        for name in imports(module):
            if name in module_names() and name != module.name:
                importers.setdefault(name, set()).add(module.name)
    assert [
        module.file
        for module in read_modules()
        if not module.file.endswith(("__init__.py", "__main__.py"))
        if module.file not in SHORT_FORMATS
        if (ROOT / module.file).read_text().count("\n") < FEWEST_LINES
        if len(users := importers.get(module.name, set())) == 1
        if not users & LISTS
        if next(iter(users)).rpartition(".")[0] == module.name.rpartition(".")[0]
    ] == []


def test_modules_of_one_name_are_of_one_resource() -> None:
    bases = [Path(module.file).stem for module in read_modules() if not module.file.endswith("__init__.py")]
    assert {base for base in bases if bases.count(base) > 1} - SHARED_NAMES == set()


def test_the_package_keeps_its_grain() -> None:
    metrics = measure_package()
    # More features may bring more modules, but no smaller ones.
    assert metrics.lines / metrics.modules >= 170
    assert metrics.median_lines >= 120
    assert metrics.docstring_words <= 60
    assert metrics.comments >= 15


def test_every_module_that_the_architecture_page_names_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", page)
    roots = (ROOT, ROOT / PACKAGE)
    assert [file for file in named if not any((root / file).exists() for root in roots)] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [module.file for module in read_modules() if not ast.get_docstring(module.tree)] == []


def test_nothing_is_changed_at_the_level_of_a_module() -> None:
    assert [
        module.file
        for module in read_modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ] == []
