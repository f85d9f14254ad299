"""What the tour shows of a function that ran: its source, its imports, its call, its result."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.lab.host import Host

__all__ = ["Played", "imports_of", "played", "shown", "source_of"]

_HERE = __name__.rpartition(".")[0]
_TEXT = frozenset(b"\r\n" + bytes(range(32, 127)))
_OCTETS_SHOWN = 16


@dataclass(slots=True)
class Played:
    """A function of the tour: its source, and where it ran, how, with what result.

    `host` is empty for a function that is only shown, because another one calls it.
    """

    host: str
    name: str
    call: str
    source: str
    result: str = ""


def played(
    host: Host,
    function: Callable[..., object],
    arguments: tuple[object, ...],
    more: tuple[str, ...] = (),
) -> Played:
    """Return what is to be told of a call; `more` are the names of further arguments."""
    words = [json.dumps(one) if isinstance(one, str) else repr(one) for one in arguments]
    words += more
    call = f"{function.__name__}({', '.join(words)})"
    return Played(host.name, function.__name__, call, source_of(function))


def source_of(function: Callable[..., object]) -> str:
    """Return the source of a function."""
    return inspect.getsource(function).rstrip()


def imports_of(function: Callable[..., object]) -> dict[str, set[str]]:
    """Return what a function needs of the imports of its file: names by module.

    ``import x`` is a module without names. The functions of the tour that it calls are shown
    beside it and left out.
    """
    used = {"annotations", *_names(function.__code__)}
    found: dict[str, set[str]] = {}
    for node in ast.parse(inspect.getsource(sys.modules[function.__module__])).body:
        if isinstance(node, ast.Import):
            found |= {one.name: set() for one in node.names if one.name in used}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(_HERE):
            names = {one.name for one in node.names} & used
            found |= {node.module: names} if names else {}
    return found


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def shown(value: object) -> str:
    """Return a result as people read it: text as it is, octets that are no text in hexadecimal."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        if all(octet in _TEXT for octet in value):
            return repr(value)
        start = value[:_OCTETS_SHOWN].hex(" ")
        more = " ..." if len(value) > _OCTETS_SHOWN else ""
        return f"{len(value)} octets: {start}{more}"
    if isinstance(value, list):
        return f"{len(value)} of {type(value[0]).__name__}" if value else "nothing"
    return repr(value)
