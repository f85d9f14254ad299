"""What looks on while octets go by: the dumps and records that flags ask for."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from sockwright.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, Self

    from sockwright.nc.taps.tap import Octets, Tap
    from sockwright.tools._flags import Arguments

    class Maker(Protocol):
        """What makes the tap of each conversation."""

        def conversation(self) -> Tap:
            """Return a tap for one connection."""


__all__ = ["Taps"]

_ON_SCREEN = (("hexdump", "--hexdump"), ("textdump", "--textdump"))


class Taps:
    """Opens the files that the flags name, and closes them at the end.

    `conversation` makes the taps of one conversation; it is None where nobody looks on. `reports`
    are lines that are to be said: a file takes no more. It is not whole then, and `failed`: what
    was asked for has not been done, however well the conversation went.

    Raises:
        UsageError: the flags do not go together.
        OSError: a file cannot be opened, or is there already.
    """

    def __init__(self, args: Arguments) -> None:
        self.reports: list[str] = []
        self.failed = False
        self._closing = ExitStack()
        self._makers: list[Maker] = []
        with ExitStack() as undo:
            undo.callback(self._closing.close)
            self._open(args)
            undo.pop_all()

    @property
    def conversation(self) -> Callable[[], tuple[Tap, ...]] | None:
        """What makes the taps of one conversation, None where there are none."""
        return self._taps if self._makers else None

    @property
    def makers(self) -> tuple[Maker, ...]:
        """What looks on: each makes a tap for each conversation."""
        return tuple(self._makers)

    def _taps(self) -> tuple[Tap, ...]:
        return tuple(maker.conversation() for maker in self._makers)

    def _report(self, text: str) -> None:
        self.failed = True
        self.reports.append(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def _open(self, args: Arguments) -> None:
        if args.hexdump and args.textdump:
            raise UsageError("--hexdump and --textdump show the same octets: choose one")
        if args.hexdump or args.textdump or args.hex_file or args.output:
            self._open_dumps(args)
        if args.record is not None:
            from sockwright.nc.taps.output import open_output
            from sockwright.nc.taps.recording import Recorder

            file = open_output(_named(args.record, "--record"), force=args.force)
            recorder = Recorder(file, self._report, name=args.record)
            self._closing.callback(recorder.close)
            self._makers.append(recorder)

    def _open_dumps(self, args: Arguments) -> None:
        from sockwright.nc.taps.hexdump import HexDump, RawDump, TextDump

        if args.hexdump or args.textdump:
            dump = HexDump if args.hexdump else TextDump
            self._makers.append(dump(self._on_screen(), colour=_has_colour()))
        if args.hex_file is not None:
            self._makers.append(HexDump(self._into(_named(args.hex_file, "-o"), args)))
        if args.output is not None:
            self._makers.append(RawDump(self._into(_named(args.output, "--output"), args)))

    def _on_screen(self) -> Callable[[Octets], object]:
        from io import FileIO

        from sockwright.nc.taps.output import Output

        return Output(FileIO(2, "wb", closefd=False), self._report, name="stderr").write

    def _into(self, path: str, args: Arguments) -> Callable[[Octets], object]:
        from sockwright.nc.taps.output import Output, open_output

        file = open_output(path, force=args.force, append=args.append)
        output = Output(file, self._report, name=path)
        self._closing.callback(output.close)
        return output.write


def _named(path: str, flag: str) -> str:
    """Refuse the name that means standard output elsewhere. Raises: UsageError."""
    if path == "-":
        raise UsageError(
            f"{flag} wants the name of a file: standard output is for what the peer sends "
            "(--hexdump and --textdump show what passes on standard error; a file - is ./-)"
        )
    return path


def _has_colour() -> bool:
    """Tell whether standard error takes colour, by the rules of `cli.colour`."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}
