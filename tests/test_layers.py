"""The imports run one way: what is below knows nothing of what is above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("detectors", "service", "training", "bench")

ROOMS: dict[str, set[str]] = {
    "core": {"detectors"},
    "runtime": {"core"},
    "database": {"core", "runtime"},
    "keys": {"core", "runtime", "database"},
    "images": {"core", "runtime", "detectors"},
    "store": {"core", "runtime"},
    "diffusion": {"core", "runtime", "detectors"},
    "repair": {"core", "diffusion", "detectors"},
    "generation": {"core", "diffusion", "repair", "detectors"},
    "engine": {"core", "runtime", "diffusion", "repair", "generation", "detectors"},
    "schemas": {"core", "images", "store", "detectors"},
    "jobs": {"core", "runtime", "database", "keys", "images", "store", "schemas", "engine", "detectors"},
    "client": {"core", "schemas", "jobs"},
    "ui": set(),
    "api": {"core", "runtime", "keys", "images", "store", "schemas", "jobs", "engine", "ui", "detectors"},
    "cli": {
        *(
            "core",
            "runtime",
            "database",
            "keys",
            "images",
            "store",
            "schemas",
            "jobs",
            "client",
            "engine",
            "api",
        ),
        "detectors",
    },
}
"""The rooms of ``service``, lowest first, and what each may import; a room that is not listed is an error."""
MAY_IMPORT: dict[str, set[str]] = {
    "detectors": set(),
    "training": {"detectors", "service"},
    "bench": {"detectors", "service", "training"},
}
ONLY = {
    "service.jobs": {"service.engine": {"service.engine.protocol"}},
    "service.api": {"service.engine": {"service.engine.protocol"}},
    "service.cli": {"service.engine": {"service.engine.protocol"}, "service.jobs": {"service.jobs.records"}},
    "service.client": {"service.jobs": {"service.jobs.records"}},
}
"""Where a room may import another one, but no more of it than this."""
RECORDS = ("service.core",)
"""Plain values: no torch, no pydantic."""
ULTRALYTICS_IN = "detectors.yolo_library"
PYDANTIC_IN = ("service.schemas", "service.api", "service.runtime.settings", "service.cli.console")


def _modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def _imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _within(name: str, package: str) -> bool:
    return name.startswith(package) if package.endswith(".") else f"{name}.".startswith(f"{package}.")


def _room(module: str) -> str:
    """The room of a module: ``service.core`` for ``service.core.params``, else the package."""
    package, _, rest = module.partition(".")
    return f"{package}.{rest.partition('.')[0]}" if package == "service" and rest else package


def _allowed(room: str) -> set[str]:
    if room in MAY_IMPORT:
        return MAY_IMPORT[room]
    return {
        name if name == "detectors" else f"service.{name}" for name in ROOMS[room.removeprefix("service.")]
    }


def test_every_module_is_in_a_known_room():
    known = {"service", *MAY_IMPORT, *(f"service.{room}" for room in ROOMS)}
    assert {_room(module) for module in _modules()} == known
    loose = [path.name for path in (ROOT / "service").glob("*.py")]
    assert loose == ["__init__.py"]


@pytest.mark.parametrize("room", [*MAY_IMPORT, *(f"service.{room}" for room in ROOMS)])
def test_no_room_knows_what_is_above_it(room: str):
    modules, wrong = _modules(), []
    for module, path in modules.items():
        if _room(module) != room:
            continue
        for name in _imports(path):
            other = _room(name)
            if name.partition(".")[0] not in PACKAGES or other == room:
                continue
            if other not in _allowed(room) and other.partition(".")[0] not in _allowed(room):
                wrong.append(f"{module} imports {name}")
            only = ONLY.get(room, {}).get(other)
            if only and name in modules and name != other and name not in only:
                wrong.append(f"{module} imports {name}, and not only {sorted(only)}")
    assert not wrong


def test_records_are_plain_values():
    wrong = [
        f"{module} imports {name}"
        for module, path in _modules().items()
        if any(_within(module, records) for records in RECORDS)
        for name in _imports(path)
        if name.partition(".")[0] in {"torch", "pydantic", "fastapi", "diffusers", "sqlalchemy"}
    ]
    assert not wrong


def test_one_file_imports_ultralytics():
    users = {
        module
        for module, path in _modules().items()
        if not _within(module, "training")  # which trains the detector with it
        if any(_within(name, "ultralytics") for name in _imports(path))
    }
    assert users <= {ULTRALYTICS_IN}


def test_pydantic_stays_at_the_edge():
    wrong = [
        module
        for module, path in _modules().items()
        if any(_within(name, "pydantic") for name in _imports(path))
        if not any(_within(module, allowed) for allowed in PYDANTIC_IN)
    ]
    assert not wrong


def test_no_circle():
    modules = _modules()
    imports = {
        module: {name for name in _imports(path, top_level_only=True) if name in modules and name != module}
        for module, path in modules.items()
    }
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"circle: {' -> '.join((*above, module))}"
        if module not in done:
            for name in sorted(imports[module]):
                visit(name, (*above, module))
            done.add(module)

    for module in modules:
        visit(module, ())


TEXT = {".py", ".md", ".toml", ".yml", ".yaml", ".json", ".txt", ".cfg", ""}
OF_ONE_MACHINE = tuple(f"/{folder}/" for folder in ("work", "root", "Users"))
SKIPPED = {".git", ".gitignore", ".venv", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
SKIPPED |= {"data", "runs", "work"}  # ignored by git


def _texts() -> Iterator[Path]:
    for path in ROOT.iterdir():
        inside = path.rglob("*") if path.is_dir() else [path]
        if path.name not in SKIPPED:
            yield from (file for file in inside if file.is_file() and file.suffix in TEXT)


def test_no_path_of_one_machine():
    wrong = [
        f"{path.relative_to(ROOT)}: {folder}"
        for path in _texts()
        if "__pycache__" not in path.parts
        for folder in OF_ONE_MACHINE
        if folder in path.read_text(encoding="utf-8", errors="ignore")
    ]
    assert not wrong
