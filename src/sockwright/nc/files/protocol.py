r"""The lines by which two ends agree where a file goes on and whether it arrived whole. No I/O.

Without them (plain form) a connection carries the octets of the file and nothing else, so that any
program may be at the other end. With them (`--resume` on both sides), version 1:

    receiver   sockwright-file/1 have 5242880 sha256 9f86d0...\n
    sender     sockwright-file/1 size 10485760 from 5242880\n
    sender     the octets from that offset to the size, then: sha256 3a7bd3...\n
    receiver   stored\n   or   differs\n

Rules
    1. The receiver speaks first, and the sender says nothing before: whoever meets a program that
       does not speak this sends it no line that would end up in a file.
    2. `have` octets were received before, and `sha256` is theirs (FIPS 180-4, 64 hexadecimal
       digits). Its line up to "sha256 " is sent at once, the digits when they are computed: that
       the protocol is spoken is known early, and how long the digits may take follows from `have`.
    3. `from` is `have` where the sender's first `have` octets have that digest, else 0, and the
       receiver forgets what it had.
    4. The last digest is of the whole file, as the sender has read it. The receiver answers
       `stored` when it has stored a file with that digest.
    5. Each side ends its direction (FIN) after its last line. A line is at most `LINE_LIMIT` octets
       of ASCII, numbers are decimal without sign or leading zeros, words are parted by one space.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sockwright.errors import TransferError

__all__ = [
    "DIFFERS",
    "LINE_LIMIT",
    "STORED",
    "Answer",
    "Offer",
    "answer_line",
    "begin_of_offer",
    "digest_line",
    "read_answer",
    "read_begin_of_offer",
    "read_digest",
    "read_offer",
    "rest_of_offer",
]

LINE_LIMIT = 200
STORED = b"stored"
DIFFERS = b"differs"

_NAME = b"sockwright-file/"
_NUMBER = rb"(0|[1-9][0-9]{0,18})"
_DIGEST = rb"([0-9a-f]{64})"
_BEGIN = re.compile(_NAME + rb"1 have " + _NUMBER + rb" sha256 ")
_OFFER = re.compile(_BEGIN.pattern + _DIGEST)
_ANSWER = re.compile(_NAME + rb"1 size " + _NUMBER + rb" from " + _NUMBER)
_DIGEST_LINE = re.compile(rb"sha256 " + _DIGEST)
_SHOWN = 40  # octets of a wrong line that an error shows


class Offer(NamedTuple):
    """What the receiver has: octets from the start of the file, and their SHA-256."""

    have: int
    sha256: str


class Answer(NamedTuple):
    """What the sender does: a file of `size` octets is sent from the octet `begin` on."""

    size: int
    begin: int


def begin_of_offer(have: int) -> bytes:
    """Return the receiver's line up to its digest, which is sent at once."""
    return b"%s1 have %d sha256 " % (_NAME, have)


def rest_of_offer(sha256: str) -> bytes:
    """Return the digest and the end of the receiver's line."""
    return sha256.encode() + b"\n"


def answer_line(size: int, begin: int) -> bytes:
    """Return the sender's line."""
    return b"%s1 size %d from %d\n" % (_NAME, size, begin)


def digest_line(sha256: str) -> bytes:
    """Return what follows the octets of the file."""
    return b"sha256 " + sha256.encode() + b"\n"


def read_begin_of_offer(octets: bytes, peer: str) -> int | None:
    """Return how many octets the receiver has, as soon as `octets` say so, else None.

    Raises:
        TransferError: this is no offer, whatever follows.
    """
    found = _BEGIN.match(octets)
    if found is not None:
        return int(found[1])
    if b"\n" in octets or len(octets) > LINE_LIMIT or not _may_become_offer(octets):
        raise _wrong(octets, peer)
    return None


def read_offer(line: bytes, peer: str) -> Offer:
    """Return what the receiver has.

    Raises:
        TransferError: the line is no offer.
    """
    found = _OFFER.fullmatch(line)
    if found is None:
        raise _wrong(line, peer)
    return Offer(int(found[1]), found[2].decode())


def read_answer(line: bytes, have: int, peer: str) -> Answer:
    """Return what the sender does, which was told that `have` octets are here.

    Raises:
        TransferError: the line is no answer, or does not fit the offer.
    """
    found = _ANSWER.fullmatch(line)
    if found is None:
        raise _wrong(line, peer)
    answer = Answer(int(found[1]), int(found[2]))
    if answer.begin not in {0, have} or answer.begin > answer.size:
        raise _wrong(line, peer)
    return answer


def read_digest(line: bytes, peer: str) -> str:
    """Return the digest of the whole file.

    Raises:
        TransferError: the line holds none.
    """
    found = _DIGEST_LINE.fullmatch(line)
    if found is None:
        raise _wrong(line, peer)
    return found[1].decode()


def _may_become_offer(octets: bytes) -> bool:
    known = begin_of_offer(0)[: len(_NAME) + len(b"1 have ")]
    return known.startswith(octets) or octets.startswith(known)


def _wrong(octets: bytes, peer: str) -> TransferError:
    """Say in one line what came instead."""
    line = octets.split(b"\n", 1)[0]
    if not line:
        return TransferError(f"{peer} says nothing; --resume is needed on both sides")
    if line.startswith(_NAME):
        version = line[len(_NAME) :].split(b" ", 1)[0]
        if version != b"1":
            said = ascii(version[:_SHOWN].decode("latin-1"))
            return TransferError(f"{peer} speaks version {said} of the file protocol, not '1'")
        for word, doing in ((b" have ", "receives a file"), (b" size ", "sends a file")):
            if word in line:
                return TransferError(f"{peer} {doing}, too, or its line is wrong")
    said = ascii(line[:_SHOWN].decode("latin-1"))
    return TransferError(
        f"{peer} does not speak the protocol of --resume, which both sides need: it sent {said}"
    )
