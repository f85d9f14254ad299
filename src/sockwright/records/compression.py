"""Compressed captures: gzip (RFC 1952), zstd (RFC 8878), xz and lz4, told by content.

Rules
    1. What a decompressor holds is bounded, whatever the stream claims: the window by `MAX_WINDOW`,
       what one step gives by a few MiB.
    2. All that can be had of a cut or corrupt stream is delivered before the error, which names the
       octet of the compressed file.
    3. Streams may follow each other in one file, as ``cat a.gz b.gz`` makes them.

zlib and lzma take their input in pieces of any size, so these are read in small ones: where the
stream turns out to be corrupt, only what came of the last piece is lost. zstd and lz4 are walked
frame by frame and block by block here; a block is at most 128 KiB and 4 MiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sockwright.errors import DecodeError, TruncatedError
from sockwright.records.source import Readable, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["MAX_WINDOW", "compression_of", "decompressed"]

MAX_WINDOW = 128 << 20
"""Octets of window or dictionary that a stream may ask for: what zstd(1) itself allows."""

_PIECE = 1 << 20
_GZIP, _ZSTD, _XZ, _LZ4 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zX", b"\x04\x22\x4d\x18"
_ORDER: Final = "little"


def compression_of(head: bytes) -> str:
    """Return "gzip", "zstd", "xz" or "lz4" as the first 4 octets tell, else an empty string.

    A file may start with a frame to be skipped, which zstd and lz4 share: that counts as "zstd".
    """
    if head.startswith(_GZIP):
        return "gzip"
    if _is_skippable(head):
        return "zstd"
    return {_ZSTD: "zstd", _XZ: "xz", _LZ4: "lz4"}.get(head[:4], "")


def decompressed(file: Readable) -> tuple[Readable, str]:
    """Return what is in `file`, seen through its compression, and the compression's name.

    The name is "" where the file is not compressed. `file` is not closed. Of what is returned,
    ``read(size)`` gives `size` octets but at the end, however large `size` is; memory is bounded by
    `size` and the decompressor's window (`MAX_WINDOW` at most).

    Raises, in ``read`` and only after all octets before were given: TruncatedError where the stream
    ends before its end mark, DecodeError where it is corrupt or asks for too large a window. Both
    name the octet of the compressed file.
    """
    source = Source(file)
    head = source.take(4)
    while _is_skippable(head):
        source.layer = "zstd"
        _skip_frame(source)
        head = source.take(4)
    name = compression_of(head)
    if not name:
        return _Plain(head, source), ""
    source.layer = name
    return _Pieces(_MAKERS[name](source, head)), name


class _Pieces:
    """A file made of the pieces that a generator yields."""

    __slots__ = ("_at", "_error", "_piece", "_pieces")

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = b""
        self._at = 0
        self._error: DecodeError | None = None

    def read(self, size: int, /) -> bytes:
        at = self._at
        stop = at + size
        if stop <= len(self._piece):
            self._at = stop
            return self._piece[at:stop]
        found = [self._piece[at:]]
        missing = stop - len(self._piece)
        self._piece, self._at = b"", 0
        while missing and self._error is None:
            try:
                piece = next(self._pieces, None)
            except DecodeError as error:
                self._error = error
                break
            if piece is None:
                break
            if len(piece) > missing:
                self._piece, self._at = piece, missing
                piece = piece[:missing]
            found.append(piece)
            missing -= len(piece)
        octets = b"".join(found)
        if not octets and size and self._error is not None:
            raise self._error
        return octets


class _Plain:
    """A file whose first octets were taken; nothing is read ahead, as it may be a live pipe."""

    __slots__ = ("_head", "_source")

    def __init__(self, head: bytes, source: Source) -> None:
        self._head = head
        self._source = source

    def read(self, size: int, /) -> bytes:
        head = self._head
        if not head:
            return self._source.take(size)
        self._head = head[size:]
        return head[:size] + self._source.take(max(0, size - len(head)))


# gzip and xz: the decompressor takes pieces of any size

_GZIP_INPUT = 16 << 10
_XZ_INPUT = 512  # lzma cannot go back to before an error, as zlib can


def _gzip(source: Source, head: bytes) -> Iterator[bytes]:
    """Yield what the members hold; zeros behind them are padding, as for gzip(1)."""
    import zlib

    waiting = head
    while waiting.startswith(_GZIP):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            octets = member.unconsumed_tail or waiting or source.take(_GZIP_INPUT)
            waiting = b""
            before = member.copy()
            try:
                piece = member.decompress(octets, _PIECE)
            except zlib.error as error:
                yield from _up_to_error(source, before.decompress, octets, error)
                return
            if piece:
                yield piece
            elif not octets:
                raise _cut(source)
        waiting = member.unused_data or source.take(_GZIP_INPUT)
        if len(waiting) == 1:
            waiting += source.take(1)
    _padding(source, waiting)


def _up_to_error(
    source: Source, decompress: Callable[[bytes], bytes], octets: bytes, error: Exception
) -> Iterator[bytes]:
    """Yield what the octets before the corrupt one hold, then raise the error that names it."""
    place = source.offset - len(octets)
    for index in range(len(octets)):
        try:
            piece = decompress(octets[index : index + 1])
        except type(error):
            break
        yield piece
        place += 1
    raise DecodeError("gzip", place, f"corrupt: {error}")


def _xz(source: Source, head: bytes) -> Iterator[bytes]:
    """Yield what the streams hold; zeros between and behind them are padding."""
    import lzma

    waiting = head
    while waiting.startswith(_XZ[: len(waiting)]) and waiting:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_WINDOW)
        while not stream.eof:
            if stream.needs_input:
                octets = waiting or source.take(_XZ_INPUT)
                waiting = b""
                if not octets:
                    raise _cut(source)
            else:
                octets = b""
            try:
                piece = stream.decompress(octets, _PIECE)
            except lzma.LZMAError as error:
                start = source.offset - len(octets)
                raise DecodeError("xz", start, f"corrupt: {error}") from None
            if piece:
                yield piece
        waiting = stream.unused_data
        while not waiting.strip(b"\0"):
            waiting = source.take(_XZ_INPUT)
            if not waiting:
                return
        waiting = waiting.lstrip(b"\0")
    _padding(source, waiting)


def _padding(source: Source, waiting: bytes) -> None:
    """Take zeros up to the end of the file. Raises: DecodeError where something else stands."""
    while waiting:
        if strange := waiting.lstrip(b"\0"):
            place = source.offset - len(strange)
            raise DecodeError(source.layer, place, "what follows the stream is not of it")
        waiting = source.take(_GZIP_INPUT)


def _cut(source: Source) -> TruncatedError:
    """Return the error for a stream whose end mark is missing; how much is, nobody can know."""
    error = TruncatedError(source.layer, source.offset, 1, 0)
    error.message = "the compressed stream ends in the middle"
    error.args = (f"{error.layer} at octet {error.offset}: {error.message}",)
    return error


# zstd and lz4: frames, walked block by block


def _is_skippable(head: bytes) -> bool:
    return head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50


def _skip_frame(source: Source) -> None:
    size = int.from_bytes(source.need(4, "a skippable frame", 4), _ORDER)
    source.skip(size, "a skippable frame", 8)


def _frames(
    source: Source,
    head: bytes,
    magic: bytes,
    frame: Callable[[Source, bytes], Iterator[bytes]],
) -> Iterator[bytes]:
    """Yield what the frames hold, passing over those to be skipped."""
    while head:
        if _is_skippable(head):
            _skip_frame(source)
        elif head == magic:
            yield from frame(source, head)
        elif len(head) < 4:
            raise TruncatedError(source.layer, source.offset - len(head), 4, len(head), "a frame")
        else:
            place = source.offset - 4
            raise DecodeError(source.layer, place, f"no frame starts with {head.hex(' ')}")
        head = source.take(4)


def _zstd(source: Source, head: bytes) -> Iterator[bytes]:
    import zstandard

    # Checked by zstd itself when it has read the frame header.
    context = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)

    def frame(source: Source, head: bytes) -> Iterator[bytes]:
        """Yield what one frame holds, RFC 8878 section 3.1.1."""
        decompress = context.decompressobj().decompress
        descriptor = source.need(1, "a frame header", 4)
        flags = descriptor[0]
        single = flags >> 5 & 1
        content_size = (single, 2, 4, 8)[flags >> 6]
        more = (1 - single) + (0, 1, 2, 4)[flags & 3] + content_size
        octets = head + descriptor + source.need(more, "a frame header", 5)
        checksum = flags >> 2 & 1
        last = 0
        while True:
            start = source.offset
            try:
                if piece := decompress(octets):
                    yield piece
            except zstandard.ZstdError as error:
                where = start - len(octets)
                raise DecodeError("zstd", where, f"corrupt: {error}") from None
            if last:
                break
            block = source.need(3, "a block")
            word = int.from_bytes(block, _ORDER)
            last = word & 1
            # A block of type 1 is one octet that is to be repeated.
            size = 1 if word >> 1 & 3 == 1 else word >> 3
            if size > 128 << 10:
                what = f"corrupt: a block of {size} octets, 131072 are the most"
                raise DecodeError("zstd", start, what)
            octets = block + source.need(size, "a block", 3)
        if checksum:
            octets = source.need(4, "the checksum")
            try:
                if piece := decompress(octets):
                    yield piece
            except zstandard.ZstdError as error:
                raise DecodeError("zstd", source.offset - 4, f"corrupt: {error}") from None

    return _frames(source, head, _ZSTD, frame)


def _lz4(source: Source, head: bytes) -> Iterator[bytes]:
    from lz4 import frame as lz4_frame

    def frame(source: Source, head: bytes) -> Iterator[bytes]:
        """Yield what one frame holds: FLG, BD, sizes that FLG announces, a checksum, blocks."""
        decompress: Callable[..., bytes] = lz4_frame.LZ4FrameDecompressor().decompress
        descriptor = source.need(2, "a frame header", 4)
        flags, largest = descriptor[0], 1 << (8 + 2 * (descriptor[1] >> 4 & 7))
        more = (8 if flags & 8 else 0) + (4 if flags & 1 else 0) + 1
        octets = head + descriptor + source.need(more, "a frame header", 6)
        end = False
        while True:
            start = source.offset - len(octets)
            try:
                # lz4 gives at most the block, and what of the one before did not fit.
                if piece := decompress(octets):
                    yield piece
            except RuntimeError as error:
                raise DecodeError("lz4", start, f"corrupt: {error}") from None
            if end:
                return
            size = source.need(4, "a block")
            length = int.from_bytes(size, _ORDER) & 0x7FFF_FFFF
            if not length:
                end = True
                octets = size + source.need(4 if flags & 4 else 0, "the checksum", 4)
                continue
            if length > largest:
                what = f"corrupt: a block of {length} octets, {largest} are the most"
                raise DecodeError("lz4", source.offset - 4, what)
            octets = size + source.need(length + (4 if flags & 16 else 0), "a block", 4)

    return _frames(source, head, _LZ4, frame)


_MAKERS: Mapping[str, Callable[[Source, bytes], Iterator[bytes]]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "xz": _xz,
    "lz4": _lz4,
}
