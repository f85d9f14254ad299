"""What a run of the engine tells of itself while octets go by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Event", "Kind"]

Kind = Literal["listening", "connected", "ended", "refused", "failed", "note"]


@dataclass(slots=True)
class Event:
    """One line; `text` is for people, the other fields are for programs.

    `importance` is 2 for failures, 1 for what one wants to know (the address that is listened on),
    0 for what -v asks for. `sent` and `received` count octets of a conversation that has ended.
    `above`, where it is set, shows a clean line above what a person is typing at this moment; False
    is that nobody is, and the line can be printed as any other.
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
    above: Callable[[str], bool] | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return self.text
