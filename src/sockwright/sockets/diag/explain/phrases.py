"""Parts of sentences: numbers with their nouns, spans of time, lists, queues."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.structures.memory import SocketMemory

__all__ = [
    "accept_queue",
    "connected",
    "count",
    "holder",
    "join",
    "sentence",
    "sharing",
    "span",
    "times",
    "unread",
    "waiting",
]

PROGRAM = "the program"
"""What a process is called that is not known."""
_MANY = 3  # how many of a list are named


def count(number: int, noun: str, plural: str = "") -> str:
    """Return "1 octet", "12000 octets"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def times(number: int) -> str:
    """Return "once", "twice", "3 times"."""
    return {1: "once", 2: "twice"}.get(number) or f"{number} times"


def span(milliseconds: int) -> str:
    """Return a time as people say it: "0.2 s", "37 s", "12 min", "2 h"."""
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def join(things: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c", "a, b, c and 4 more"."""
    named = list(things[:_MANY])
    if len(things) > _MANY:
        named.append(f"{len(things) - _MANY} more")
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def holder(row: SocketRow) -> str:
    """Return who holds the socket: "nginx (pid 812)", or "the program" where that is not known."""
    found = row.processes
    return f"{found[0].name} (pid {found[0].pid})" if found else PROGRAM


def connected(row: SocketRow) -> str:
    """Return "nginx (pid 812) is connected", or "connected" where nobody is known."""
    return f"{holder(row)} is connected" if row.processes else "connected"


def sharing(row: SocketRow) -> list[str]:
    """Return how many processes hold the socket too."""
    found = row.processes or ()
    others = len({process.pid for process in found}) - 1
    if others < 1:
        return []
    verb = "has" if others == 1 else "have"
    return [f"{count(others, 'more process', 'more processes')} {verb} this socket too"]


def unread(octets: int, who: str) -> list[str]:
    """Return that so many octets wait to be read; nothing for none."""
    if octets <= 0:
        return []
    them = "it" if octets == 1 else "them"
    return [f"{count(octets, 'octet')} arrived and {who} has not read {them}"]


def sentence(text: str, who: str) -> str:
    """Return the text with a full stop, and a large first letter where it is not a name's."""
    if not text.startswith(who) or who == PROGRAM:
        text = text[0].upper() + text[1:]
    return f"{text}."


def accept_queue(waits: int, most: int, who: str, lost: str) -> str:
    """Return how full the queue of connections is that the program has not accepted yet.

    The kernel lets in one more than the limit (sk_acceptq_is_full); `lost` is what becomes of the
    next.
    """
    if waits > most:
        return (
            f"its accept queue is full ({waits} of {count(most, 'place')} taken, and the kernel "
            f"allows one more than that): new connections {lost} until {who} accepts some"
        )
    if not waits and not most:
        return "its accept queue is empty; with 0 places it still holds one connection"
    if not waits:
        return f"its accept queue is empty, with {count(most, 'place')}"
    taken = "is" if waits == 1 else "are"
    return f"{waits} of {count(most, 'place')} in its accept queue {taken} taken"


def waiting(memory: SocketMemory | None, who: str) -> list[str]:
    """Return what waits to be read, and what was dropped; nothing where nothing is known."""
    if memory is None:
        return []
    texts = []
    if memory.rmem_alloc:
        limit = f" of {memory.rcvbuf}" if memory.rcvbuf else ""
        texts.append(
            f"{memory.rmem_alloc}{limit} octets of its receive buffer hold what {who} has not read"
        )
    if memory.drops:
        texts.append(
            f"{count(memory.drops, 'packet was', 'packets were')} dropped on arrival, most often "
            "because that buffer was full"
        )
    return texts
