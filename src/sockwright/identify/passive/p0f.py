"""Signatures of a p0f.fp that the user has; nothing of one is shipped here (it is under the LGPL).

The format is described in the README of p0f, version 3: sections ``[tcp:request]``,
``[tcp:response]`` and others; in them ``label = type:class:name:flavor`` and below it lines
``sig = version:ittl:olen:mss:wsize,scale:olayout:quirks:pclass``. Only the two sections of TCP
are taken.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sockwright.identify.signature import Expectation, Provenance, Signature, SignatureError

if TYPE_CHECKING:
    from sockwright.identify.signature import Value

__all__ = ["read_p0f"]

_GROUPS: Final = {"tcp:request": "syn", "tcp:response": "syn_ack"}
_MULTIPLE: Final = re.compile(r"(?:mss|mtu)\*\d+")
# Our words for p0f's quirks, in the order of `Opening`; df and the version are tests of their own.
_QUIRKS: Final = {
    "id+": "id+",
    "id-": "id-",
    "flow": "flow",
    "ecn": "ecn",
    "seq-": "seq0",
    "ack-": "no-ack",
    "ack+": "ack-unused",
    "urgf+": "urgent",
    "uptr+": "urgent-unused",
    "pushf+": "push",
    "ts1-": "ts0",
    "ts2+": "ts-peer",
    "opt+": "padding",
    "exws": "scale>14",
    "bad": "bad",
}
_KINDS: Final = {"?19": "md5", "?30": "mptcp", "?34": "fo"}
_FAMILIES: Final = {"Mac OS X": "Apple", "iOS": "Apple", "Android": "Linux"}
_MOST_OCTETS: Final = 4 << 20


def read_p0f(text: str, where: str) -> list[Signature]:
    """Read the signatures of TCP in the text of a p0f.fp, called `where` in errors.

    Raises: SignatureError, with the line, where one of those is not well formed.
    """
    if len(text) > _MOST_OCTETS:
        raise SignatureError(f"{where} is larger than a file of signatures is")
    group = label = ""
    found: list[Signature] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split(";", 1)[0].strip()  # noqa: PLW2901  # the rest is a comment
        if line.startswith("["):
            group, label = _GROUPS.get(line.strip("[]").strip(), ""), ""
        key, _, value = (part.strip() for part in line.partition("="))
        if not group or not value:
            continue
        if key == "label":
            label = value
        elif key == "sig":
            found.append(_signature(label, value, group, f"{where}: line {number}", where))
    return found


def _signature(label: str, sig: str, group: str, place: str, where: str) -> Signature:
    names, fields = label.split(":", 3), sig.split(":")
    if len(names) != 4 or len(fields) != 8:
        raise SignatureError(f"{place}: {sig!r} under {label!r} has not the fields that it should")
    _, _, name, flavor = names
    version, ttl, ip_options, mss, sizes, layout, quirks, payload = fields
    window, _, scale = sizes.partition(",")
    words = set(quirks.split(",")) - {""}
    layout = ",".join([_KINDS.get(option, option) for option in layout.split(",")])
    tests: dict[str, Value | None] = {
        "ttl": _number(ttl.rstrip("-").partition("+")[0], place),
        "ip_options": _number(ip_options, place),
        "mss": _number(mss, place),
        "window": window if _MULTIPLE.fullmatch(window) else _number(window, place),
        "scale": _number(scale, place) if "ws" in layout.split(",") else "none",
        "options": layout or "none",
        "payload": {"0": False, "+": True}.get(payload),
        "df": None if version == "6" else "df" in words,
    }
    expected = {test: Expectation((v,)) for test, v in tests.items() if v is not None}
    expected["quirks"] = Expectation(_quirks(version, words))
    return Signature(
        name=f"{name} {flavor}".strip(),
        family=_FAMILIES.get(name, name),
        provenance=Provenance("published", f"p0f signatures in {where}"),
        tests={f"{group}.{test}": value for test, value in expected.items()},
    )


def _quirks(version: str, words: set[str]) -> tuple[Value, ...]:
    """Return our words; a signature for both versions has those of IPv4, which IPv6 cannot show."""
    without = {word for word in words if not word.startswith("id")}
    sets = {"4": [words], "6": [without]}.get(version, [words, without, without | {"flow"}])
    texts = [",".join([_QUIRKS[word] for word in _QUIRKS if word in one]) for one in sets]
    return tuple(dict.fromkeys(text or "none" for text in texts))


def _number(text: str, place: str) -> int | None:
    """Read a number; None for ``*``, any, and for a window that is given in p0f's other ways."""
    if text == "*" or text.startswith("%"):
        return None
    if not text.isdecimal():
        raise SignatureError(f"{place}: {text!r} is no number")
    return int(text)
