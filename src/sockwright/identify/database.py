"""The signatures there are: those of the package, and those that a user has learned."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.identify.signature import SignatureError, to_signatures

if TYPE_CHECKING:
    from sockwright.identify.signature import Signature

__all__ = ["load_signatures", "user_folder"]


def user_folder() -> Path:
    """Return the folder of signatures that the user learned, whether or not it is there.

    It is `sockwright/signatures` in $XDG_DATA_HOME, as the XDG Base Directory Specification says.
    """
    home = os.environ.get("XDG_DATA_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "share"
    return base / "sockwright" / "signatures"


def load_signatures(*, learned: bool = True) -> list[Signature]:
    """Read all signatures, with `learned` the user's too.

    Raises:
        SignatureError: a file is not well formed; the message names it, by its whole path.
        OSError: a file cannot be read.
    """
    folders = [Path(__file__).parent / "data"]
    if learned:
        folders.append(user_folder())
    found: list[Signature] = []
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                found += to_signatures(path.read_text(encoding="utf-8"), str(path))
            except (SignatureError, UnicodeDecodeError) as error:
                told = str(error) if isinstance(error, SignatureError) else f"{path}: {error}"
                raise SignatureError(f"{told}; mend that file, or take it away") from error
    return found
