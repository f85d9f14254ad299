r"""Octets from the network made safe for a terminal, piece by piece as they come.

The rule is that of every text that this package shows (`sockwright.cli.clean`): what
`str.isprintable` rejects is written as an escape. That is each control character, and with ESC and
the C1 characters every escape sequence (CVE-2021-25743), each format and bidirectional character,
and what Unicode has not assigned. Octets that are no UTF-8 (RFC 3629) are written ``\xNN``, so that
a raw 0x9b, which some terminals take for CSI, is as harmless as U+009B.

What a text is laid out by stays: LF, HT, and CR before LF. A CR alone would let what follows
overwrite what stands there: it is written ``\r``.
"""

from __future__ import annotations

from codecs import getincrementaldecoder

__all__ = ["Cleaner"]

_PLAIN = b"\t\n" + bytes(range(0x20, 0x7F))
_MOST_KEPT = 1024


class Cleaner:
    """Cleans one stream of octets, whose characters may come in pieces.

    Up to four octets are held until what follows tells what they are: the beginning of a character,
    and a CR. `unicode` is False for a terminal that does not speak UTF-8: whatever is beyond ASCII
    is then an escape, since an octet of a harmless character could be a control character there.
    """

    def __init__(self, *, unicode: bool = True) -> None:
        self._unicode = unicode
        self._decoder = getincrementaldecoder("utf-8")("surrogateescape")
        self._escapes = _Escapes(unicode=unicode)
        self._held_return = False

    def clean(self, octets: bytes | bytearray | memoryview) -> bytes:
        """Return what a terminal may be given for `octets`, by and large the same."""
        octets = bytes(octets)
        held = self._held_return or self._decoder.getstate()[0]
        if not held and not octets.translate(None, _PLAIN):
            return octets  # at the rate of memory
        text = self._decoder.decode(octets)
        if self._held_return:
            text = "\r" + text
        self._held_return = text.endswith("\r")
        if self._held_return:
            text = text[:-1]
        return self._clean(text)

    def finish(self) -> bytes:
        """Return what is still held: the stream has ended."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        if self._held_return:
            text = "\r" + text
            self._held_return = False
        return self._clean(text)

    def _clean(self, text: str) -> bytes:
        if self._is_clean(text.replace("\r\n", "").replace("\n", "")):
            return text.encode()
        *lines, last = text.split("\n")
        cleaned = []
        for line in lines:
            # The CR of a CRLF is part of the line end.
            body, end = (line[:-1], "\r\n") if line.endswith("\r") else (line, "\n")
            cleaned.append((body if self._is_clean(body) else body.translate(self._escapes)) + end)
        cleaned.append(last if self._is_clean(last) else last.translate(self._escapes))
        return "".join(cleaned).encode()

    def _is_clean(self, line: str) -> bool:
        """Tell whether a line, without its end, may be shown as it is."""
        if not (self._unicode or line.isascii()):
            return False
        return line.isprintable() or line.replace("\t", "").isprintable()


class _Escapes(dict[int, str]):
    """What is shown for each character, found when first asked for; remembers the first ones."""

    def __init__(self, *, unicode: bool) -> None:
        super().__init__()
        self._unicode = unicode

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if (character.isprintable() and (self._unicode or code < 0x80)) or character == "\t":
            shown = character
        elif 0xDC80 <= code <= 0xDCFF:  # an octet that is no UTF-8 (PEP 383)
            shown = f"\\x{code - 0xDC00:02x}"
        else:
            shown = character.encode("unicode_escape").decode("ascii")
        if len(self) < _MOST_KEPT:  # there are a million characters, and a peer may send them all
            self[code] = shown
        return shown
