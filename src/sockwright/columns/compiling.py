"""Compile kernels by numba, once, and keep the machine code in the user's cache folder.

Rules
    1. A file of the cache is named by all that its machine code depends on: the code of the kernel
       and of every kernel that it calls, the types of the arguments, the versions of Python, numba
       and llvmlite, the processor. So no file is ever stale: it is only not asked for any more.
    2. A file starts with a checksum over the rest. Only what agrees is unpickled and run; all else
       is as if it were not there, and is written anew.
    3. Unpickling runs what the file says. So a file counts only where it and its folder belong to
       this user and nobody else may write to them.
    4. Files are written beside and moved in place, so two processes at once do no harm.
    5. Without a folder to keep anything in, kernels are compiled for this process.

Numba's own cache does none of 1 (of kernels that are called) to 3, and needs a folder that can be
written to beside the source or at home. `_Kept` takes its place in numba's dispatcher.

A word about the compilation goes to `logging`, as a warning, since the program seems to hang. Where
nobody has set logging up, Python shows that on standard error, which is all that the command needs.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    P = ParamSpec("P")
    T = TypeVar("T")
    R = TypeVar("R")

__all__ = ["NOTE", "cache_folder", "compiled", "cores", "in_parallel"]

NOTE = "sockwright: compiling for this machine, once; it takes some seconds"
"""What is logged before a process compiles its first kernel, by the logger of this module."""

_PACKAGE = __name__.partition(".")[0]
_SUFFIX = ".kernel"
# Kernels allocate nothing, so no references need counting: with `_nrt` each call of a helper costs
# two locked instructions an array, and a walk through a packet takes four times as long.
_OPTIONS: dict[str, Any] = {"nogil": True, "_nrt": False}
# Kernels are called from Python, what they call is not: without the ways to do so, which do nothing
# to the machine code of kernels, these take a sixth less time to compile.
_HELPER_OPTIONS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_ABANDONED_S = 3600  # nobody takes that long to write a file
_KEEP = 8  # files of one kernel: some types of arguments, some versions of Python and of the code


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` compiled for the types that it is called with; it runs without the GIL.

    `function` is a kernel (see `sockwright.columns.kernels`). The first call with types that were
    never seen takes seconds, which is logged; what comes of it is kept for later processes.
    """
    return cast("Callable[P, R]", _dispatcher(cast("FunctionType", function)))


@cache
def _dispatcher(function: FunctionType) -> Callable[..., object]:
    """Return what `_compiled` does. Kernels are asked for by every piece of a capture: no lock."""
    from numba.core.compiler_lock import global_compiler_lock

    with global_compiler_lock:  # two threads might ask for the same kernel
        return _compiled(function)


@cache
def _compiled(function: FunctionType) -> Callable[..., object]:
    import numba

    for helper in _called(function):
        _register(helper)
    dispatcher: Any = numba.njit(**_OPTIONS)(function)
    dispatcher._cache = _Kept(function)  # noqa: SLF001  # numba has no public way to say where
    return cast("Callable[..., object]", dispatcher)


@cache
def _register(helper: FunctionType) -> None:
    from numba.extending import register_jitable

    register_jitable(**_HELPER_OPTIONS)(helper)


@cache
def _called(function: FunctionType) -> tuple[FunctionType, ...]:
    """Return the functions of this package that `function` calls, and those that these call."""
    found: dict[FunctionType, None] = {}
    waiting = [function]
    while waiting:
        caller = waiting.pop()
        for name in caller.__code__.co_names:
            value = caller.__globals__.get(name)
            if not isinstance(value, FunctionType) or value is function or value in found:
                continue
            if value.__module__.startswith(f"{_PACKAGE}."):
                found[value] = None
                waiting.append(value)
    return tuple(found)


# What machine code depends on


def _fingerprint(function: FunctionType) -> str:
    """Return all of `function` and of what it calls that decides what it does."""
    helpers = sorted(_called(function), key=lambda helper: (helper.__module__, helper.__qualname__))
    return "\n".join([repr(_OPTIONS), *map(_meaning, (function, *helpers))])


def _meaning(function: FunctionType) -> str:
    code: CodeType = function.__code__
    used = {
        name: function.__globals__[name]
        for name in sorted(code.co_names)
        if name in function.__globals__
    }
    if modules := [name for name, value in used.items() if isinstance(value, ModuleType)]:
        raise TypeError(f"{function.__qualname__} names {modules}: import what it needs from there")
    values = {
        name: value.__qualname__ if isinstance(value, FunctionType) else value
        for name, value in used.items()
    }
    named = (function.__module__, function.__qualname__, function.__defaults__)
    return repr((named, code.co_code, code.co_consts, code.co_varnames, code.co_names, values))


def _versions() -> tuple[object, ...]:
    import llvmlite
    import numba
    import numpy as np

    return sys.version, numba.__version__, llvmlite.__version__, np.__version__


class _Kept:
    """The compiled forms of one kernel on disk: what numba's dispatcher asks before it compiles."""

    def __init__(self, function: FunctionType) -> None:
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._fingerprint = _fingerprint(function)
        self.cache_path = str(cache_folder() or "")

    def enable(self) -> None:
        """Do nothing: it is always enabled."""

    def disable(self) -> None:
        """Do nothing: it is always enabled."""

    def flush(self) -> None:
        """Do nothing: what is there agrees with the source."""

    def load_overload(self, signature: object, target_context: Any) -> object:
        """Return what was compiled for `signature`, None where that is not kept or not whole."""
        from numba.core import compiler

        rebuild: Any = compiler.CompileResult._rebuild  # noqa: SLF001
        target_context.refresh()
        folder = cache_folder()
        if folder is not None:
            try:
                path = folder / self._file(signature, target_context.codegen())
                payload = _unpickled(_read(path))
                found: object = rebuild(target_context, *payload)
            except Exception:  # noqa: S110  # whatever is wrong with it, it is made anew
                pass
            else:
                return found
        _note_once()
        return None

    def save_overload(self, signature: object, result: Any) -> None:
        """Keep what was compiled; a full disk or a folder that vanished is no error."""
        from numba.core import serialize

        folder = cache_folder()
        if folder is None:
            return
        dumps: Any = serialize.dumps
        content = dumps(result._reduce())  # noqa: SLF001
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / self._file(signature, result.target_context.codegen())
            _write(path, content)
            _forget_old(folder, self._name)
        except OSError:
            return

    def _file(self, signature: object, codegen: Any) -> str:
        import hashlib

        depends = (self._fingerprint, _versions(), codegen.magic_tuple(), str(signature))
        return f"{self._name}-{hashlib.sha256(repr(depends).encode()).hexdigest()[:32]}{_SUFFIX}"


@cache
def _note_once() -> None:
    import logging

    logging.getLogger(__name__).warning(NOTE)


# Files


def _read(path: Path) -> bytes:
    """Return what `path` holds. Raises: OSError; ValueError for what is not to be trusted."""
    import hashlib

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    with open(path, "rb", opener=opener) as file:
        if not _only_ours(os.fstat(file.fileno())):
            raise ValueError("others may write to it")
        octets = file.read()
        os.utime(file.fileno())  # the least recently used are forgotten
    content = octets[32:]
    if hashlib.sha256(content).digest() != octets[:32]:
        raise ValueError("it is broken")
    return content


def _unpickled(content: bytes) -> tuple[Any, ...]:
    import pickle

    return cast("tuple[Any, ...]", pickle.loads(content))  # noqa: S301  # its owner is this user


def _write(path: Path, content: bytes) -> None:
    import hashlib
    import shutil
    import tempfile

    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_SUFFIX)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  # by its descriptor
            file.write(hashlib.sha256(content).digest() + content)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _forget_old(folder: Path, name: str) -> None:
    """Remove files of a kernel but those that were used last, and what a killed process left."""
    found = sorted(folder.glob(f"{name}-*{_SUFFIX}"), key=lambda path: -path.stat().st_mtime_ns)
    for path in found[_KEEP:]:
        path.unlink(missing_ok=True)
    for path in folder.glob(f".*{_SUFFIX}"):
        if time.time() - path.stat().st_mtime > _ABANDONED_S:
            path.unlink(missing_ok=True)


def _only_ours(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


@cache
def cache_folder() -> Path | None:
    """Return the folder that machine code is kept in, None where there is none to be trusted.

    That is ``sockwright/kernels`` in $XDG_CACHE_HOME or ~/.cache, else a folder of this user's own
    among the temporary ones.
    """
    import tempfile

    named = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(named) if named.startswith("/") else _home_cache()
    private = Path(tempfile.gettempdir()) / f"{_PACKAGE}-{os.geteuid()}"
    for base in (home and home / _PACKAGE, private):
        if base is not None and _usable(folder := base / "kernels"):
            return folder
    return None


def _home_cache() -> Path | None:
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # no HOME, and no such user
        return None


def _usable(folder: Path) -> bool:
    """Make `folder`, and tell whether it and the one around it are this user's to write to."""
    try:
        # Root with the HOME of somebody else must neither trust that folder nor leave files there.
        around = next(path for path in folder.parents if path.exists())
        if around.stat().st_uid != os.geteuid() and not around.stat().st_mode & 0o1000:
            return False
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.is_symlink() or folder.parent.is_symlink():
            return False
        own = all(_only_ours(path.stat()) for path in (folder, folder.parent))
    except OSError:
        return False
    return own and os.access(folder, os.W_OK | os.X_OK)


# All cores


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(
    work: Callable[[T], R], items: Iterable[T], threads: int | None = None
) -> Iterator[R]:
    """Yield ``work(item)`` of each item, in order, computed by `threads` threads (all cores).

    Kernels run without the GIL, so threads do for them. At most twice as many items as threads are
    under way or waiting to be taken, however many there are.

    Raises: what `work` raises, in its place.
    """
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    threads = threads or cores()
    if threads == 1:
        yield from map(work, items)
        return
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
