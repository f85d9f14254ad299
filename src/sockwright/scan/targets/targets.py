"""The addresses to scan: what was written, without what is excluded, refused or there twice.

    targets = parse_targets(["10.0.0.0/8"], exclude=["10.1.0.0/16"])
    len(targets), targets[0], "10.1.2.3" in targets

Rules: the order is that in which they were written. Nothing is made for an address before somebody
asks for it, so 10.0.0.0/8 takes no more memory than 10.0.0.1; a million single ones take 28 MB. A
host that was named twice is there once. `syntax` has the grammar, `reserved` what is refused.
"""

from __future__ import annotations

import socket
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, overload

from sockwright.errors import TargetError
from sockwright.scan.targets.owners import Owned, apart
from sockwright.scan.targets.reserved import own_broadcasts, reserved
from sockwright.scan.targets.syntax import (
    Named,
    Ranges,
    block,
    joined,
    parse,
    quoted,
    shortened,
    split,
)
from sockwright.scan.targets.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    Resolver: TypeAlias = Callable[[str, int], list[tuple[int, str]]]

__all__ = ["ASK_ABOVE", "Targets", "look_up", "parse_targets"]

ASK_ABOVE: Final = 4096
"""More hosts than this are a question to the user."""

_EXCLUDED: Final = -1
_TOLD: Final = 3  # of those that were refused
_LOW: Final = (1 << 64) - 1
_LINK_LOCAL: Final = 0xFE80 >> 6  # fe80::/10, its ten bits (RFC 4291 section 2.5.6)


def look_up(name: str, family: int) -> list[tuple[int, str]]:
    """Return families and addresses of a name, in the resolver's order; it may block.

    Raises:
        OSError: `socket.gaierror`: the name has none.
    """
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    except UnicodeError:  # RFC 1035 section 2.3.4, before anybody is asked
        raise socket.gaierror(socket.EAI_NONAME, "not a name") from None
    return [(int(family), str(address[0])) for family, _, _, _, address in found]


def parse_targets(
    texts: Iterable[str],
    *,
    all_addresses: bool = False,
    exclude: Iterable[str] = (),
    family: int = socket.AF_UNSPEC,
    resolve: Resolver = look_up,
    broadcasts: bool = True,
) -> Targets:
    """Read targets, each text a list divided by white space or commas; names are looked up.

    A name stands for one address: the first of IPv4 if it has one, as with nmap, or with
    `all_addresses` for all of them. `family` keeps to one of both. What cannot be scanned is left
    out and noted in `Targets.refused`: a name that does not resolve, multicast, and, unless
    `broadcasts` is false, the broadcast addresses of this machine's own networks, of which those
    inside a block or a range are left out without a word.

    Raises:
        TargetError: a text is not well formed, or an excluded name does not resolve.
    """
    return _Reader(family, resolve, all_addresses=all_addresses).read(
        [word for text in texts for word in split(text)],
        [word for text in exclude for word in split(text)],
        broadcasts=broadcasts,
    )


class Targets:
    """A sequence of `Target`; see the rules above. Made by `parse_targets`.

    `refused` has what was not taken and why, as the two halves of a sentence. `not_scanned` has the
    further addresses of names.
    """

    __slots__ = (
        "_end",
        "_high",
        "_label",
        "_labels",
        "_low",
        "_named",
        "_places",
        "not_scanned",
        "refused",
    )

    def __init__(self) -> None:
        # Of each range its first address in two halves, where it ends in the order, whose it is.
        self._high = array("Q")
        self._low = array("Q")
        self._end = array("Q")
        self._label = array("L")
        self._labels: list[tuple[int, str, str]] = []
        self._places: dict[tuple[int, str], list[int]] | None = None
        self._named = False  # whether anything was written
        self.refused: list[tuple[str, str]] = []
        self.not_scanned: dict[str, tuple[str, ...]] = {}

    def _add(self, label: int, first: int, last: int) -> None:
        self._high.append(first >> 64)
        self._low.append(first & _LOW)
        self._label.append(label)
        self._end.append((self._end[-1] if self._end else 0) + last - first + 1)

    def __len__(self) -> int:
        """Count the addresses."""
        return self._end[-1] if self._end else 0

    @property
    def many(self) -> bool:
        """Whether a person ought to be asked first."""
        return len(self) > ASK_ABOVE

    def why_none(self) -> str:
        """Say why no address is left; of many that were refused the first three."""
        told = "; ".join(f"{text} {why}" for text, why in self.refused[:_TOLD])
        if len(self.refused) > _TOLD:
            told += f"; and {len(self.refused) - _TOLD} more"
        return told or ("every address is excluded" if self._named else "no target is named")

    def packed(self, index: int) -> bytes:
        """Return the octets of the address at an index: 4 or 16. Raises: `IndexError`."""
        label, number = self._at(index)
        return number.to_bytes(4 if self._labels[label][0] == socket.AF_INET else 16, "big")

    def _at(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} targets, none has the index {index}")
        place = bisect_right(self._end, index)
        before = self._end[place - 1] if place else 0
        return self._label[place], self._first(place) + index - before

    def _first(self, place: int) -> int:
        return self._high[place] << 64 | self._low[place]

    def family(self, index: int) -> int:
        """Return AF_INET or AF_INET6. Raises: `IndexError`."""
        return self._labels[self._at(index)[0]][0]

    @overload
    def __getitem__(self, index: int) -> Target: ...
    @overload
    def __getitem__(self, index: slice) -> list[Target]: ...
    def __getitem__(self, index: int | slice) -> Target | list[Target]:
        """Return the target at an index, or those of a slice. Raises: `IndexError`."""
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        label, number = self._at(index + len(self) if index < 0 else index)
        return self._target(label, number)

    def _target(self, label: int, number: int) -> Target:
        family, zone, name = self._labels[label]
        octets = number.to_bytes(4 if family == socket.AF_INET else 16, "big")
        return Target(socket.inet_ntop(family, octets), family, zone, name)

    def __iter__(self) -> Iterator[Target]:
        """Give the targets one by one."""
        start = 0
        for place, end in enumerate(self._end):
            label, first = self._label[place], self._first(place)
            for number in range(first, first + end - start):
                yield self._target(label, number)
            start = end

    def index(self, packed: bytes, zone: str = "") -> int | None:
        """Return the index of an address, given as octets; None where it is no target."""
        family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
        if self._places is None:
            self._places = {}
            for place, label in enumerate(self._label):
                self._places.setdefault(self._labels[label][:2], []).append(place)
            for places in self._places.values():
                places.sort(key=self._first)
        places = self._places.get((family, zone), [])
        number = int.from_bytes(packed, "big")
        found = bisect_right(places, number, key=self._first) - 1
        if found < 0:
            return None
        place = places[found]
        before = self._end[place - 1] if place else 0
        index = before + number - self._first(place)
        return index if index < self._end[place] else None

    def __contains__(self, target: object) -> bool:
        """Whether an address, as text (with its zone) or as a `Target`, is among them."""
        if isinstance(target, Target):
            target = target.host
        if not isinstance(target, str):
            return False
        address, _, zone = target.partition("%")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            return self.index(socket.inet_pton(family, address), zone) is not None
        except OSError:
            return False


class _Reader:
    """Reads words into `Targets`, each range owned by the word that it came from."""

    def __init__(self, family: int, resolve: Resolver, *, all_addresses: bool) -> None:
        self._family = family
        self._resolve = resolve
        self._all = all_addresses
        self._result = Targets()
        self._owned: dict[tuple[int, str], list[Owned]] = {}
        self._labels: dict[tuple[int, str, str], int] = {}
        # The text, the label, the first and the last address of each.
        self._owners: list[tuple[str, int, int, int]] = []

    def read(self, words: list[str], exclude: list[str], *, broadcasts: bool) -> Targets:
        for word in words:
            self._word(word)
        result = self._result
        result._named = bool(words)  # noqa: SLF001  # this reader is how they are made
        result._labels = list(self._labels)  # noqa: SLF001
        excluded = [ranges for word in exclude for ranges in self._excluded(word)]
        pieces: list[Owned] = []
        for (family, zone), owned in self._owned.items():
            out = [Owned(_EXCLUDED, *pair) for pair in _of(excluded, family, zone)]
            kept = [one for one in apart([*out, *owned]) if one.owner != _EXCLUDED]
            pieces.extend(self._allowed(family, kept, broadcasts=broadcasts))
        pieces.sort()
        for owner, first, last in pieces:
            result._add(self._owners[owner][1], first, last)  # noqa: SLF001
        return result

    def _word(self, word: str) -> None:
        what = parse(word)
        for ranges, name in self._found(word, what) if isinstance(what, Named) else [(what, "")]:
            self._add(word, ranges, name)

    def _add(self, word: str, ranges: Ranges, name: str) -> None:
        family, zone, pairs = ranges
        if self._family not in {socket.AF_UNSPEC, family}:
            self._refuse(word, f"is IPv{4 if family == socket.AF_INET else 6}, which is not asked")
            return
        if zone:
            zone = self._interface(word, zone)
            if not zone:
                return
        elif family == socket.AF_INET6 and any(first >> 118 == _LINK_LOCAL for first, _ in pairs):
            self._refuse(word, "is link-local: say on which interface, as in fe80::1%eth0")
            return
        label = self._labels.setdefault((family, zone, name), len(self._labels))
        owner = len(self._owners)
        ends = min(first for first, _ in pairs), max(last for _, last in pairs)
        self._owners.append((word, label, *ends))
        owned = self._owned.setdefault((family, zone), [])
        owned.extend(Owned(owner, first, last) for first, last in pairs)

    def _interface(self, word: str, zone: str) -> str:
        """Return the name of the interface that a zone names, by name or number."""
        try:
            if zone.isascii() and zone.isdecimal():
                return socket.if_indextoname(int(zone))
            socket.if_nametoindex(zone)
        except OSError:
            self._refuse(word, f"names an interface that is not there: {quoted(zone)}")
            return ""
        return zone

    def _found(self, word: str, what: Named) -> list[tuple[Ranges, str]]:
        """Return what the addresses of a name stand for."""
        try:
            found = list(dict.fromkeys(self._resolve(what.name, self._family)))
        except OSError as error:
            self._refuse(word, f"does not resolve: {error.strerror or error}")
            return []
        if not self._all and found:
            first = next((one for one in found if one[0] == socket.AF_INET), found[0])
            others = tuple(address for one in found if one != first for address in [one[1]])
            if others:
                self._result.not_scanned[what.name] = others
            found = [first]
        return [(_network(word, address, what.prefix), what.name) for _, address in found]

    def _excluded(self, word: str) -> Iterator[Ranges]:
        what = parse(word)
        if isinstance(what, Ranges):
            yield what
            return
        try:
            found = self._resolve(what.name, socket.AF_UNSPEC)
        except OSError as error:
            # To go on would scan the very host that is not to be scanned.
            raise TargetError(
                f"{quoted(word)} is excluded, but it does not resolve: {error.strerror or error}"
            ) from None
        for _, address in found:
            yield _network(word, address, what.prefix)

    def _allowed(self, family: int, kept: list[Owned], *, broadcasts: bool) -> list[Owned]:
        """Cut out what is reserved; note it with the text that it came from.

        Every network has a broadcast address: of a block nobody has to be told so.
        """
        everywhere = reserved(family)
        out = list(everywhere)
        if family == socket.AF_INET and broadcasts and any(one.first >> 24 != 127 for one in kept):
            out.extend(own_broadcasts())
        if not any(one.first <= no.last and no.first <= one.last for no in out for one in kept):
            return kept
        for no in out:
            owners = dict.fromkeys(
                one.owner for one in kept if one.first <= no.last and no.first <= one.last
            )
            for owner in owners:
                text, _, first, last = self._owners[owner]
                if no.first <= first and last <= no.last:
                    self._refuse(text, no.why)
                elif no in everywhere:
                    self._refuse(f"{no.text} in {text}", no.why)
        cut = [Owned(_EXCLUDED, first, last) for first, last, _, _ in out]
        return [one for one in apart([*cut, *kept]) if one.owner != _EXCLUDED]

    def _refuse(self, text: str, why: str) -> None:
        self._result.refused.append((shortened(text), why))


def _network(word: str, address: str, prefix: int | None) -> Ranges:
    """Return the address that a name has, or its network."""
    what = parse(address)
    if isinstance(what, Named):
        raise TargetError(f"{quoted(word)}: the resolver says {address!r}, which is no address")
    if prefix is None:
        return what
    return block(word, what.family, what.zone, what.pairs[0][0], prefix)


def _of(excluded: list[Ranges], family: int, zone: str) -> list[tuple[int, int]]:
    """Return the excluded ranges of a family; those without a zone are excluded in each."""
    return joined(
        [
            pair
            for ranges in excluded
            if ranges.family == family and ranges.zone in {"", zone}
            for pair in ranges.pairs
        ]
    )
