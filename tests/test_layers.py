"""The imports run one way: what is below knows nothing of what is above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("detectors", "service", "training", "bench")

FORBIDDEN = {
    "detectors": ("service", "training", "bench"),
    "service": ("training", "bench"),
    "training": ("bench",),
    "service.repair": ("service.api", "service.cli", "service.engine.engine"),
    "service.diffusion": (
        "service.api",
        "service.cli",
        "service.engine.engine",
        "service.cli.console",
        "service.repair",
    ),
    "service.store": (
        "service.api",
        "service.cli",
        "service.engine.engine",
        "service.repair",
        "service.diffusion",
    ),
    "service.engine.engine": (
        "service.api",
        "service.schemas",
        "service.jobs",
        "service.cli",
        "service.cli.console",
        "service.store",
        "service.images.report_sheet",
    ),
    "service.schemas": (
        "service.api",
        "service.jobs",
        "service.engine.engine",
        "service.cli",
        "service.diffusion",
        "service.repair",
    ),
    "service.jobs": ("service.api", "service.cli", "service.cli.console", "service.images.report_sheet"),
    "service.database": (
        "service.jobs",
        "service.keys",
        "service.api",
        "service.cli",
        "service.schemas",
        "service.store",
    ),
    "service.keys": (
        "service.jobs",
        "service.api",
        "service.cli",
        "service.cli.console",
        "service.schemas",
        "service.store",
    ),
    "service.client": (
        "service.api",
        "service.cli",
        "service.cli.console",
        "service.database",
        "service.diffusion",
        "service.engine.engine",
        "service.repair",
        "service.store",
    ),
    "service.images.report_sheet": ("service.api", "service.cli", "service.engine.engine"),
    "service.api": (
        "service.diffusion",
        "service.repair",
        "service.cli",
        "service.cli.console",
        "service.images.report_sheet",
    ),
    "service.core.report": ("service.",),
    "service.core.params": ("service.", "detectors"),
    "service.core.runs": ("service.",),
    "service.core.model_limits": ("service.", "detectors"),
    "service.core.errors": ("service.", "detectors"),
    "service.runtime.logs": ("service.",),
}
"""Package or module by what it must not import; a trailing dot means everything inside."""

ALLOWED = {
    ("service.core.report", "service.core.runs"),
    ("service.core.report", "service.core.params"),
    ("service.core.report", "service.core.model_limits"),
}
"""All are records only; one would be too long a file."""
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


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_package_knows_what_is_above_it(package: str):
    wrong = [
        f"{module} imports {name}"
        for module, path in _modules().items()
        if _within(module, package)
        for name in _imports(path)
        if not any(module == above and _within(name, below) for above, below in ALLOWED)
        for forbidden in FORBIDDEN[package]
        if _within(name, forbidden)
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
