"""What a run of the engine tells of itself while octets go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

__all__ = ["Event"]

Kind = Literal["listening", "connected", "ended", "refused", "failed", "note"]


@dataclass(slots=True)
class Event:
    """One line; `text` is for people, the other fields are for programs.

    `importance` is 2 for failures, 1 for what one wants to know (the address that is listened on),
    0 for what -v asks for. `sent` and `received` count octets of a conversation that has ended.
    """

    live: ClassVar[bool] = True

    kind: Kind
    text: str
    importance: int = field(default=0, repr=False)
    local: str | None = None
    remote: str | None = None
    sent: int | None = None
    received: int | None = None
    duration_ns: int | None = None
    status: int | None = None

    def __str__(self) -> str:
        return self.text
