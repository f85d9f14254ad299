"""What holds for the whole package: directions of imports, quiet imports, budgets, locked parts."""

from __future__ import annotations

import ast
import importlib
import re
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sockwright

_SOURCE = Path(sockwright.__file__).parent
_MODULES = sorted(_SOURCE.rglob("*.py"))
_BIN = Path(sys.executable).parent

_WIRE = {"errors", "wire"}
_FORMATS = _WIRE | {"records", "filters", "machines"}
_LIBRARY = _FORMATS | {"columns", "sockets", "nc", "identify", "scan", "lab"}
# What a package may import of this one, beside itself. Columns and sockets are siblings that do
# not know each other, and neither do the three that stand on wire alone.
_MAY_IMPORT = {
    "errors": set[str](),
    "wire": {"errors"},
    "records": _WIRE,
    "filters": _WIRE,
    "machines": _WIRE,
    "columns": _FORMATS,
    "sockets": _FORMATS,
    "nc": _FORMATS | {"sockets"},
    "identify": _FORMATS | {"sockets"},
    "scan": _FORMATS | {"sockets", "nc", "identify"},
    "lab": _FORMATS | {"columns", "sockets"},
    "tools": _LIBRARY,
    "cli": _LIBRARY | {"tools"},
    "view": _LIBRARY | {"tools"},
    "__main__": {"cli"},
    "__init__": _LIBRARY - {"machines"},
}


def _part(path: Path) -> str:
    """Return the part of the package that the module at `path` belongs to."""
    return path.relative_to(_SOURCE).parts[0].removesuffix(".py")


def _imported_parts(path: Path) -> set[str]:
    """Return the parts of the package that the module imports, anywhere in it."""
    package = ["sockwright", *path.relative_to(_SOURCE).parts[:-1]]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    inside = {name.split(".")[1] for name in found if name.startswith("sockwright.")}
    return inside - {_part(path), "__version__"}


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_SOURCE)))
def test_imports_point_downward(path: Path) -> None:
    part = _part(path)
    assert part in _MAY_IMPORT, f"the design names no part {part!r}"
    assert _imported_parts(path) <= _MAY_IMPORT[part]


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_SOURCE)))
def test_module_does_nothing_when_imported(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in tree.body:
        loops = isinstance(node, ast.For | ast.While | ast.With | ast.Delete)
        acts = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        assert not loops, f"line {node.lineno}: runs at import"
        assert not acts, f"line {node.lineno}: runs at import"
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Global)]


def test_importing_every_module_touches_nothing_outside() -> None:
    names = [
        ".".join(("sockwright", *path.relative_to(_SOURCE).with_suffix("").parts))
        for path in _MODULES
        if path.name != "__main__.py"
    ]
    code = f"""
import importlib, sys
def watch(event, args):
    code_file = event == "open" and str(args[0]).endswith((".py", ".pyc", ".so", ".pth"))
    own = event in {{"open", "os.system", "os.fork", "os.mkdir", "os.remove", "os.unshare"}}
    if not code_file and (own or event.startswith(("socket.", "subprocess."))):
        if event != "socket.__new__" or args[1] != -1:
            raise RuntimeError(f"{{event}} {{args}} at import")
import ctypes, socket, subprocess, tempfile
sys.addaudithook(watch)
for name in {names}:
    importlib.import_module(name.removesuffix(".__init__"))
"""
    command = [sys.executable, "-B", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


_NEVER = {"numpy", "numba", "asyncio", "rich", "pyroute2", "argcomplete", "socket", "ssl", "ctypes"}


@pytest.mark.parametrize(
    "code",
    ["import sockwright", "from sockwright.cli import main; main(['--help'])"],
    ids=["import", "help"],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    command = [sys.executable, "-c", f"{code}; import sys; print(*sys.modules, file=sys.stderr)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not _NEVER & set(done.stderr.split())


_NOT_FOR_A_LISTING = _NEVER | {
    "argparse", "collections", "contextlib", "dataclasses", "enum", "json", "pathlib", "re",
    "shutil", "subprocess", "threading", "typing",
}  # fmt: skip


def test_a_listing_of_sockets_loads_only_what_it_needs() -> None:
    # A plain -I -S interpreter: what site loads is not ours to say.
    code = f"""
import sys
sys.path.insert(0, {str(_SOURCE.parent)!r})
from sockwright.cli import main
status = main(["ss", "-tn"])
print(*sys.modules, file=sys.stderr)
sys.exit(status)
"""
    command = [sys.executable, "-I", "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not _NOT_FOR_A_LISTING & set(done.stderr.split())


def _milliseconds(command: list[str]) -> float:
    """Return the time of a processor that a program takes; it does not wait for anything."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


@pytest.mark.parametrize(
    ("command", "budget"),
    [
        ([sys.executable, "-c", "import sockwright"], 10),
        ([str(_BIN / "sw"), "--help"], 60),
    ],
    ids=["import", "help"],
)
def test_start_keeps_its_budget(command: list[str], budget: float) -> None:
    # Noise only ever adds, so the least of many runs, taken in turn with bare Python, is nearest to
    # the cost itself; a loaded machine gets more runs before the verdict.
    bare = [sys.executable, "-c", "pass"]
    ours, theirs = [], []
    for _ in range(6):
        for _ in range(5):
            theirs.append(_milliseconds(bare))
            ours.append(_milliseconds(command))
        if min(ours) - min(theirs) <= budget:
            break
    assert min(ours) - min(theirs) <= budget


def test_public_names_are_there_and_typed() -> None:
    tree = ast.parse((_SOURCE / "__init__.py").read_text())
    typed = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sockwright.")
        for alias in node.names
    }
    assert typed | {"__version__"} == set(sockwright.__all__)
    assert sorted(sockwright.__all__) == dir(sockwright)
    for name in sockwright.__all__:
        assert getattr(sockwright, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        sockwright.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_version_is_the_one_of_the_package(project: Path) -> None:
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    assert sockwright.__version__ == declared
    assert f"## [{declared}]" in (project / "CHANGELOG.md").read_text()


def test_no_module_is_a_drawer_of_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "common", "misc"}
    assert not [path for path in _MODULES if path.stem in drawers]


@pytest.mark.parametrize("name", ["run", "dev", "docs"])
def test_requirements_are_locked_by_hash_and_name_no_registry(project: Path, name: str) -> None:
    text = (project / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    pins = re.split(r"\n(?=[a-z])", text.strip())
    assert all(re.match(r"[a-z0-9-]+==\S+", pin) and "--hash=sha256:" in pin for pin in pins)


def test_run_time_requirements_are_all_locked(project: Path) -> None:
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    locked = (project / "requirements" / "run.txt").read_text()
    for requirement in declared:
        name = re.split(r"[^a-z0-9-]", requirement)[0]
        assert re.search(rf"^{name}==", locked, re.MULTILINE), f"{name}: run make lock"


def test_every_target_of_make_says_what_it_does(project: Path) -> None:
    text = (project / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE))
    assert targets == described
    assert {"tour", "test", "check", "bench", "docs"} <= targets


def test_continuous_integration_calls_the_two_targets(project: Path) -> None:
    script = project / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert [line for line in script.read_text().splitlines() if line.startswith("make")] == [
        "make check",
        "make test",
    ]


@pytest.mark.parametrize("package", ["", ".wire", ".records", ".sockets", ".lab", ".lab.tour"])
def test_a_package_lists_its_public_names_and_each_loads(package: str) -> None:
    module = importlib.import_module(f"sockwright{package}")
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None
