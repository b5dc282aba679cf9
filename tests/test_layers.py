"""The imports point one way: server -> serve -> wire -> chat -> model -> text, server -> cluster -> storage -> chat."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from pure import PURE

SOURCE = Path(__file__).parent.parent / "src" / "hubbub"
CHAT = {"chat", "model", "text", "errors"}
BELOW = {  # layer: what it may import of ours besides itself
    "errors": set(),
    "config": {"errors"},
    "console": set(),
    "files": set(),
    "passwords": {"text", "errors"},
    "text": {"errors"},
    "model": {"text", "errors"},
    "chat": {"model", "text", "errors"},
    "wire": CHAT,
    "storage": {*CHAT, "files"},
    "cluster": {*CHAT, "storage", "files"},
    "accounts": {*CHAT, "storage"},
    "serve": {*CHAT, "accounts", "wire", "config", "passwords", "files", "version"},
    "startup": {*CHAT, "accounts", "serve", "wire", "storage", "cluster", "config", "files", "passwords"},
    "tools": {*CHAT, "startup", "accounts", "storage", "cluster", "config", "files"},
    "process": set(),
    "server": {
        *CHAT,
        "startup",
        "accounts",
        "serve",
        "wire",
        "storage",
        "config",
        "process",
    },
    "version": set(),
    "subcommands": {*CHAT, "accounts", "server", "tools", "storage", "wire", "config", "console", "passwords"},
    "cli": {"subcommands", "errors", "version"},
    "__main__": {"cli"},
}
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


def name_of(path: Path) -> str:
    return ".".join(("hubbub", *path.relative_to(SOURCE).with_suffix("").parts))


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports only for types count too: a reader of one file must not need a file that needs the first one."""
    paths = {name_of(path): path for path in modules()}
    left = {name: imported(path) & paths.keys() for name, path in paths.items()}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        for name in free:
            del left[name]
    assert not left, "these are in cycles, or import such modules"


def test_no_two_classes_have_the_same_name() -> None:
    trees = [ast.parse(path.read_text()) for path in modules()]
    names = Counter(node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef))
    assert not [name for name, count in names.items() if count > 1]


def test_packages_are_empty() -> None:
    assert all(not path.read_text() for path in SOURCE.rglob("__init__.py"))


def test_no_two_test_files_have_the_same_name() -> None:
    """The suite could not collect the second of them."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("test_*.py"))
    assert not [name for name, count in names.items() if count > 1]
