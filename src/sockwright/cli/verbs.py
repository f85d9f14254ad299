"""Verbs, found by their files.

A verb is described by the docstring of its file, which is read as text: listing every verb imports
none of them. The first line is the summary; a line ``Group: look`` and a line
``Stands in for: ss, netstat`` follow anywhere below it.
"""

from __future__ import annotations

import os
import re

from sockwright import tools

# The order of the groups in `sw --help`, with what each is for.
GROUPS = {
    "learn": "see how sockets work",
    "look": "what is here, and what it does",
    "talk": "send and receive",
    "lab": "hosts to try things on",
    "setup": "make yourself at home",
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any, Protocol

    class VerbModule(Protocol):
        """What the file of a verb holds."""

        EXAMPLES: tuple[tuple[str, str], ...]

        def arguments(self, parser: argparse.ArgumentParser) -> None:
            """Add the arguments of the verb."""

        def run(self, args: argparse.Namespace) -> Iterator[Any]:
            """Yield rows; the generator may return an exit status."""


_DOCSTRING = re.compile(r'\A(?:\s|#[^\n]*\n)*r?"""(.*?)"""', re.DOTALL)
_LABEL = re.compile(r"^\s*(Group|Stands in for):\s*(.*?)\s*$", re.MULTILINE)


class Verb:
    """One verb: its name on the command line, and what the docstring of its file says."""

    __slots__ = ("group", "module", "name", "stands_in_for", "summary")

    def __init__(self, module: str, source: str) -> None:
        """Describe the verb in `module` (a file name without .py) from its `source` text."""
        found = _DOCSTRING.match(source)
        text = found.group(1).strip() if found else ""
        labels = dict(_LABEL.findall(text))
        self.module = module
        self.name = module.replace("_", "-")
        self.summary = text.partition("\n")[0].rstrip(".")
        self.group = labels.get("Group", "")
        self.stands_in_for = labels.get("Stands in for", "").rstrip(".")

    def load(self) -> VerbModule:
        """Import the file of the verb."""
        from importlib import import_module

        module: Any = import_module(f"sockwright.tools.{self.module}")
        return module  # type: ignore[no-any-return]


def find_verb(name: str) -> Verb | None:
    """Return the verb of this name; no other file is looked at."""
    module = name.replace("-", "_")
    # A word with a slash or a dot is no verb, whatever file it would lead to.
    if not module.isidentifier() or module.startswith("_") or "_" in name:
        return None
    for folder in tools.__path__:
        path = os.path.join(folder, f"{module}.py")
        if os.path.isfile(path):
            return _verb(module, path)
    return None


def find_verbs() -> dict[str, Verb]:
    """Return every verb by its name, in the order of the names."""
    verbs = (
        _verb(entry.name.removesuffix(".py"), entry.path)
        for folder in tools.__path__
        for entry in os.scandir(folder)
        if entry.name.endswith(".py") and not entry.name.startswith("_")
    )
    return {verb.name: verb for verb in sorted(verbs, key=lambda verb: verb.name)}


def _verb(module: str, path: str) -> Verb:
    with open(path, encoding="utf-8") as file:
        return Verb(module, file.read())
