"""The imports point one way: server -> listeners -> wire -> core, server -> brokers -> core."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "hubbub"
BELOW = {  # layer: what it may import of ours besides itself
    "errors": set(),
    "config": {"errors"},
    "console": set(),
    "files": set(),
    "passwords": set(),
    "bench": {"errors"},
    "core": {"errors"},
    "wire": {"core", "errors"},
    "brokers": {"core", "errors", "files"},
    "listeners": {"wire", "core", "errors", "config", "passwords", "files"},
    "storage": {"brokers", "errors", "config"},
    "transfer": {"storage", "brokers", "core", "errors", "config", "files"},
    "group_commit": {"brokers", "core"},
    "server": {
        "storage",
        "passwords",
        "group_commit",
        "listeners",
        "wire",
        "brokers",
        "core",
        "errors",
        "config",
        "files",
    },
    "cli": {"server", "transfer", "bench", "console", "passwords", "wire", "brokers", "core", "errors", "config"},
    "__main__": {"cli"},
}
PURE = {"core", "wire"}
IMPURE = {
    "asyncio",
    "socket",
    "ssl",
    "sqlite3",
    "time",
    "logging",
    "os",
    "threading",
    "random",
    "secrets",
    "pathlib",
}


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    layer = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("hubbub.")}
    assert ours <= BELOW[layer] | {layer}
    if layer in PURE:
        assert not {name.split(".")[0] for name in imported(path)} & IMPURE


def test_packages_are_empty() -> None:
    assert all(not path.read_text() for path in SOURCE.rglob("__init__.py"))
