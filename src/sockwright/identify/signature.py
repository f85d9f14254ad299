"""A signature: what is known of one system's network stack, and where that is known from.

There is one model for what probes measure and for what is only overheard. A signature is a
``[[signature]]`` of a TOML file::

    [[signature]]
    name = "Linux 6.1"
    family = "Linux"
    versions = ["6.1", "6.12"]          # the lowest and the highest it stands for
    device = "general purpose"
    clock_from_boot = false             # whether TCP timestamps count from the start of the system

    [signature.provenance]
    kind = "measured"                   # or "published", "learned"
    source = "Debian 6.1.0-56-amd64 in QEMU"
    date = 2026-11-23
    how = "dev/measure-os"

    [signature.syn_ack]                 # the group of a test, and then its name
    ttl = 64
    window = ["payload*45", "mss*44"]   # any of these
    scale = { usual = 7, other = "0..14" }
    options = "mss,sok,ts,nop,ws"

What a test may be expected to give:

- a number, a truth value or a text: exactly that;
- ``"10..20"``: a number from 10 to 20; ``"none"``: it is not there (no answer, no such option);
- ``"mss*44"``: that many times the segment size of the MSS option in the same group (``syn.mss``);
  ``"payload*45"``: the same without the 12 octets of timestamps in each segment, ``"mtu*4"``: with
  the 40 octets of the headers (60 over IPv6);
- ``"~Apache"``: a text in which this regular expression is found;
- a list: any of them. `usual` and `other`: what is so by default, and what settings can make of it.
  That somebody changed the settings is an assumption, which weighs against the agreement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from sockwright.errors import SockwrightError
from sockwright.identify.observables import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Agreement",
    "Certainty",
    "Expectation",
    "Provenance",
    "Signature",
    "SignatureError",
    "Traits",
    "Value",
    "to_signatures",
    "to_toml",
    "word_for",
]

Value = int | bool | str
"""What a test gives."""

Certainty = Literal["high", "medium", "low"]
"""How well the source of a signature bears its values."""

Agreement = Literal["usual", "other", "none"]
"""How a value agrees with what is expected: as by default, as by other settings, or not."""

Traits = dict[str, Value]
"""What was observed of a system: the full name of each test, and what it gave."""

_ENTRY: Final = {"name", "family", "versions", "device", "clock_from_boot", "provenance"}
_MULTIPLE: Final = re.compile(r"(mss|payload|mtu)\*(\d+)")
_RANGE: Final = re.compile(r"(-?\d+)\.\.(-?\d+)")


class SignatureError(SockwrightError, ValueError):
    """A file of signatures is not well formed; the message names the entry."""

    exit_status = 6


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a signature is known from.

    `source` is the system that was measured, or the document; `date` an ISO date (measured on, read
    on), `how` what repeats it: the command, or the section. `certainty` is how well the source
    bears the values: high where it states them, low where they are what is commonly said.
    """

    kind: Literal["measured", "published", "learned"]
    source: str
    date: str = ""
    how: str = ""
    certainty: Certainty = "high"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a test gives on a system: any of `usual` by default, any of `other` by settings."""

    usual: tuple[Value, ...]
    other: tuple[Value, ...] = ()

    def agreement(self, value: Value, group: Mapping[str, Value]) -> Agreement:
        """Tell how a value agrees; `group` is what was observed beside it, by the bare names."""
        if any(_fits(expected, value, group) for expected in self.usual):
            return "usual"
        return "other" if any(_fits(expected, value, group) for expected in self.other) else "none"

    def __str__(self) -> str:
        usual = " or ".join(map(word_for, self.usual))
        if not self.other:
            return usual
        other = f"by settings {' or '.join(map(word_for, self.other))}"
        return f"{usual} ({other})" if usual else other


@dataclass(frozen=True, slots=True)
class Signature:
    """One system, or several versions of it that nothing tells apart.

    `versions` are the lowest and the highest version, the same twice for one, empty where the
    name says it all. `tests` maps the full name of a test to what it is expected to give.
    """

    name: str
    family: str
    provenance: Provenance
    tests: Mapping[str, Expectation] = field(repr=False)
    versions: tuple[str, ...] = ()
    device: str = "general purpose"
    clock_from_boot: bool = False


def _fits(expected: Value, value: Value, group: Mapping[str, Value]) -> bool:
    if not isinstance(expected, str):
        # True == 1 in Python, but not here.
        return expected == value and isinstance(expected, bool) == isinstance(value, bool)
    if expected.startswith("~"):
        return isinstance(value, str) and re.search(expected[1:], value) is not None
    if isinstance(value, int) and not isinstance(value, bool):
        if found := _RANGE.fullmatch(expected):
            return int(found[1]) <= value <= int(found[2])
        if found := _MULTIPLE.fullmatch(expected):
            return value in {unit * int(found[2]) for unit in _units(found[1], group)}
        return False
    return expected == value


def _units(what: str, group: Mapping[str, Value]) -> Iterable[int]:
    mss = group.get("mss")
    if not isinstance(mss, int):
        return
    # The window of an answer follows the smaller of the two sizes that were offered.
    peer = group.get("peer_mss")
    for size in {mss, min(mss, peer) if isinstance(peer, int) else mss}:
        if what == "mss":
            yield size
        elif what == "payload":
            yield size - 12
        else:
            yield from (size + 40, size + 60)


def word_for(value: Value) -> str:
    """Return a value as people read it."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


# --- the TOML form --------------------------------------------------------------------------------


def to_signatures(text: str, where: str) -> list[Signature]:
    """Read the signatures of a TOML text, called `where` in errors. Raises: SignatureError."""
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SignatureError(f"{where}: {error}") from error
    entries = document.get("signature", [])
    if not isinstance(entries, list) or set(document) - {"signature"}:
        raise SignatureError(f"{where}: there is more in it than [[signature]] entries")
    return [_to_signature(entry, f"{where}: signature {n}") for n, entry in enumerate(entries, 1)]


def _to_signature(entry: object, where: str) -> Signature:
    if not isinstance(entry, dict):
        raise SignatureError(f"{where} is no table")
    name, family = entry.get("name"), entry.get("family")
    if not (isinstance(name, str) and name and isinstance(family, str) and family):
        raise SignatureError(f"{where} needs a name and a family")
    where = f"{where} ({name})"
    versions = entry.get("versions", [])
    if not isinstance(versions, list) or len(versions) not in {0, 2}:
        raise SignatureError(f"{where}: versions are the lowest and the highest")
    tests: dict[str, Expectation] = {}
    for group, expected in entry.items():
        if group in _ENTRY:
            continue
        if group not in GROUPS or not isinstance(expected, dict):
            raise SignatureError(f"{where}: {group} is no group of tests")
        for test, value in expected.items():
            if test not in GROUPS[group]:
                raise SignatureError(f"{where}: {group}.{test} is no test")
            tests[f"{group}.{test}"] = _to_expectation(value, f"{where}: {group}.{test}")
    return Signature(
        name=name,
        family=family,
        provenance=_to_provenance(entry.get("provenance"), where),
        tests=tests,
        versions=tuple(map(str, versions)),
        device=str(entry.get("device", "general purpose")),
        clock_from_boot=entry.get("clock_from_boot", False) is True,
    )


def _to_provenance(found: object, where: str) -> Provenance:
    kinds: dict[str, Literal["measured", "published", "learned"]] = {
        "measured": "measured",
        "published": "published",
        "learned": "learned",
    }
    if not isinstance(found, dict) or found.get("kind") not in kinds or not found.get("source"):
        raise SignatureError(f"{where} needs a provenance with kind and source")
    source, date, how = [str(found.get(key, "")) for key in ("source", "date", "how")]
    certainties: dict[str, Certainty] = {"high": "high", "medium": "medium", "low": "low"}
    certainty = found.get("certainty", "high")
    if certainty not in certainties:
        raise SignatureError(f"{where}: certainty is high, medium or low, not {certainty}")
    return Provenance(kinds[found["kind"]], source, date, how, certainties[certainty])


def _to_expectation(value: object, where: str) -> Expectation:
    if isinstance(value, dict):
        if set(value) - {"usual", "other"} or "usual" not in value:
            raise SignatureError(f"{where} has usual and other, and nothing else")
        return Expectation(
            _to_values(value["usual"], where), _to_values(value.get("other", []), where)
        )
    return Expectation(_to_values(value, where))


def _to_values(value: object, where: str) -> tuple[Value, ...]:
    values = value if isinstance(value, list) else [value]
    for one in values:
        if not isinstance(one, (int, bool, str)):
            raise SignatureError(f"{where} expects numbers, truth values and texts, not {one!r}")
        if isinstance(one, str) and one.startswith("~"):
            try:
                re.compile(one[1:])
            except re.error as error:
                raise SignatureError(f"{where}: {one}: {error}") from error
    return tuple(values)


def to_toml(signatures: Iterable[Signature], remark: str = "") -> str:
    """Write signatures as TOML that people like to read; `remark` stands above, as a comment."""
    lines = [f"# {line}".rstrip() for line in remark.splitlines()]
    for signature in signatures:
        lines += ["", "[[signature]]", f"name = {_text(signature.name)}"]
        lines.append(f"family = {_text(signature.family)}")
        if signature.versions:
            lines.append(f"versions = [{', '.join(map(_text, signature.versions))}]")
        lines.append(f"device = {_text(signature.device)}")
        if signature.clock_from_boot:
            lines.append("clock_from_boot = true")
        provenance = signature.provenance
        lines += ["", "[signature.provenance]", f'kind = "{provenance.kind}"']
        for key in ("source", "date", "how"):
            if told := getattr(provenance, key):
                lines.append(f"{key} = {_text(told)}")
        if provenance.certainty != "high":
            lines.append(f"certainty = {_text(provenance.certainty)}")
        for group in GROUPS:
            names = [name for name in GROUPS[group] if f"{group}.{name}" in signature.tests]
            if names:
                lines += ["", f"[signature.{group}]"]
            for name in names:
                expected = signature.tests[f"{group}.{name}"]
                written = _values(expected.usual)
                if expected.other:
                    written = f"{{ usual = {written}, other = {_values(expected.other)} }}"
                lines.append(f"{name} = {written}")
    return "\n".join(lines).lstrip("\n") + "\n"


def _values(values: tuple[Value, ...]) -> str:
    written = [_value(value) for value in values]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _text(value)


def _text(text: str) -> str:
    """Write a TOML basic string; control characters as escapes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\u{ord(found[0]):04x}", escaped) + '"'
