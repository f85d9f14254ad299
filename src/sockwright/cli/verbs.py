"""Verbs, found by their files.

A verb is described by the docstring of its file, which is read as text: listing every verb imports
none of them. The first line is the summary; a line ``Group: look`` and a line
``Stands in for: ss, netstat`` follow anywhere below it.
"""

from __future__ import annotations

import os

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


_DOCSTRING = r'(?s)\A(?:\s|#[^\n]*\n)*r?"""(.*?)"""'
_LABEL = r"(?m)^\s*(Group|Stands in for):\s*(.*?)\s*$"


class Verb:
    """One verb: its name on the command line, and what the docstring of its file says.

    A verb that merely runs is not described, which would load regular expressions for it.
    """

    __slots__ = ("_path", "module", "name")

    def __init__(self, module: str, path: str) -> None:
        """Take the verb in `module` (a file name without .py), the file at `path`."""
        self.module = module
        self.name = module.replace("_", "-")
        self._path = path

    @property
    def summary(self) -> str:
        """What it does, in one line without a full stop."""
        return self._docstring().partition("\n")[0].rstrip(".")

    @property
    def group(self) -> str:
        """Its group, one of `GROUPS`."""
        return self._labels().get("Group", "")

    @property
    def stands_in_for(self) -> str:
        """The programs whose work it does."""
        return self._labels().get("Stands in for", "").rstrip(".")

    def _docstring(self) -> str:
        import re

        with open(self._path, encoding="utf-8") as file:
            found = re.match(_DOCSTRING, file.read())
        return found[1].strip() if found else ""

    def _labels(self) -> dict[str, str]:
        import re

        return dict(re.findall(_LABEL, self._docstring()))

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
            return Verb(module, path)
    return None


def find_verbs() -> dict[str, Verb]:
    """Return every verb by its name, in the order of the names."""
    verbs = (
        Verb(entry.name.removesuffix(".py"), entry.path)
        for folder in tools.__path__
        for entry in os.scandir(folder)
        if entry.name.endswith(".py") and not entry.name.startswith("_")
    )
    return {verb.name: verb for verb in sorted(verbs, key=lambda verb: verb.name)}
