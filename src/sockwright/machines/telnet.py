"""Telnet for a client that wants none of it: RFC 854, as much as it takes to talk plainly.

Every option that the peer wants (WILL, DO) is refused (DONT, WONT), which leaves plain text, the
"network virtual terminal". Commands disappear from the text, and so does what is negotiated about
an option (SB ... SE, RFC 855). WONT and DONT speak of what is off already and get no answer, or two
polite peers would answer each other for ever (RFC 854, page 2).

An octet 255 of the text is written twice on the wire. CR is left as it comes: whether it is
followed by LF or NUL is the text's business.
"""

from __future__ import annotations

__all__ = ["Telnet", "escape"]

# RFC 854, page 14.
_SE, _SB, _WILL, _WONT, _DO, _DONT, _IAC = 240, 250, 251, 252, 253, 254, 255
_REFUSALS = {_WILL: _DONT, _DO: _WONT}

_TEXT, _COMMAND, _OPTION, _SUBNEGOTIATION, _SUBNEGOTIATION_COMMAND = range(5)


class Telnet:
    """One connection: octets of the wire become octets of text, and answers to the options.

    It keeps one octet at most. Nothing that it receives is an error: what no RFC defines is text.
    `doubled` False leaves octets 255 in pairs as they came, for peers that do not double them.
    """

    __slots__ = ("_doubled", "_state", "_verb")

    def __init__(self, *, doubled: bool = True) -> None:
        self._doubled = doubled
        self._state = _TEXT
        self._verb = 0

    def receive(self, octets: bytes | bytearray | memoryview) -> tuple[bytes, bytes]:
        """Take octets of the wire; return the text in them and what is to be answered."""
        data = bytes(octets)
        if self._state == _TEXT and _IAC not in data:
            return data, b""
        text, answers = bytearray(), bytearray()
        at, end = 0, len(data)
        while at < end:
            if self._state in {_TEXT, _SUBNEGOTIATION}:
                next_iac = data.find(_IAC, at)
                stop = end if next_iac < 0 else next_iac
                if self._state == _TEXT:
                    text += data[at:stop]
                if next_iac >= 0:
                    self._state = _COMMAND if self._state == _TEXT else _SUBNEGOTIATION_COMMAND
                at = stop + 1
            else:
                self._command(data[at], text, answers)
                at += 1
        return bytes(text), bytes(answers)

    def _command(self, octet: int, text: bytearray, answers: bytearray) -> None:
        """Take one octet behind an IAC."""
        if self._state == _OPTION:
            if self._verb in _REFUSALS:
                answers += bytes([_IAC, _REFUSALS[self._verb], octet])
            self._state = _TEXT
        elif self._state == _SUBNEGOTIATION_COMMAND:
            self._state = _TEXT if octet == _SE else _SUBNEGOTIATION
        elif octet in {_WILL, _WONT, _DO, _DONT}:
            self._verb = octet
            self._state = _OPTION
        elif octet == _SB:
            self._state = _SUBNEGOTIATION
        else:
            self._state = _TEXT
            if octet == _IAC:
                text += b"\xff" if self._doubled else b"\xff\xff"
            elif octet < _SE:
                text += bytes([_IAC, octet])  # no command


def escape(octets: bytes | bytearray | memoryview) -> bytes:
    """Return text as it goes over the wire: each octet 255 twice."""
    return bytes(octets).replace(b"\xff", b"\xff\xff")
