"""How a conversation ended, or could not begin: an exit status, and a line for people."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from sockwright.errors import SockwrightError
from sockwright.sockets.explain import explained

__all__ = ["DONE", "Outcome", "outcome_of"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a conversation ended: an exit status, and what there is to say of it, or nothing."""

    status: int = 0
    text: str = ""


DONE = Outcome()
_NOT_HERE = {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}


def outcome_of(error: Exception, doing: str = "", hint: str = "") -> Outcome:
    """Give the exit status and the line for an error met while `doing` something.

    `hint` is a cause more likely here than the general one.
    """
    if isinstance(error, SockwrightError):
        return Outcome(error.exit_status, str(error))
    if isinstance(error, OSError):
        said = explained(error, doing, hint=hint) if doing else error
        forbidden = isinstance(error, PermissionError) or error.errno in _NOT_HERE
        status = 3 if isinstance(error, TimeoutError) else 5 if forbidden else 1
        return Outcome(status, str(said.strerror or said))
    raise error
