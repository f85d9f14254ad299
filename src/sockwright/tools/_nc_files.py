"""`sw nc --send FILE` and `--receive FILE`: a row for each file that got through."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError, UsageError
from sockwright.nc.access import Access
from sockwright.nc.conversation import connect, listen
from sockwright.nc.ends import SocketEnd
from sockwright.nc.files import Transfer, TransferProgress, receive_file, send_file
from sockwright.nc.part_file import PartFile
from sockwright.nc.source_file import SourceFile
from sockwright.tools._nc_job import far_side, limits, resolved, serving
from sockwright.tools._nc_taps import Taps
from sockwright.tools._rows import Progress, Remark

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sockwright.nc.conversation import Conversation, Listener
    from sockwright.nc.settings import Side
    from sockwright.tools._nc_flags import Arguments

__all__ = ["transferring"]

_MOST = 100  # clients that get the file at once; each has a thread


def transferring(args: Arguments) -> Generator[object, None, int]:
    """Yield a row for each file that got through; return the exit status.

    Raises:
        UsageError: the line cannot be understood.
        FileRefusedError, TransferError, TLSError, OSError: the file did not get through.
    """
    side = far_side(args)
    _check(side, args)
    # The file first: nobody is to connect for one that is not there.
    with _file(args) as file, Taps(args) as taps:
        if not side.listen:
            with _connected(side, args, taps) as conversation:
                yield from _transfer(conversation, file, args)
            yield from map(Remark, taps.reports)
            return 0
        with listen(side.end, tls=side.tls, taps=taps.conversation or tuple) as listener:
            if not args.quiet:
                yield Remark(f"listening on {listener.name}")
                if listener.fingerprint:
                    yield Remark(f"made a certificate, its fingerprint is {listener.fingerprint}")
            allowed = _allowed(args)
            if args.keep:
                assert isinstance(file, SourceFile)
                yield from _serve(listener, file, args, allowed)
            while True:
                conversation = listener.accept()
                if allowed(conversation):
                    break
                yield Remark(f"refused {conversation.name}: it is not among those allowed")
                conversation.close()
        with conversation:
            yield from _transfer(conversation, file, args)
    yield from map(Remark, taps.reports)
    return 0


def _check(side: Side, args: Arguments) -> None:
    if isinstance(side.end, SocketEnd) and side.end.keeps_boundaries:
        raise UsageError(f"a file needs a stream of octets, and {side.end} carries datagrams")
    if args.keep and args.receive is not None:
        raise UsageError("--receive takes one file, and -k would bring many: leave -k out")
    for name, flag in (("crlf", "-C"), ("telnet", "-t"), ("delay", "-i"), ("frame", "--frame")):
        if getattr(args, name):
            raise UsageError(f"{flag} would change the file; leave it out")


@contextmanager
def _file(args: Arguments) -> Iterator[SourceFile | PartFile]:
    if args.send is not None:
        with SourceFile(args.send) as source:
            yield source
    else:
        with PartFile(args.receive, resume=args.resume, force=args.force) as part:
            yield part


def _connected(side: Side, args: Arguments, taps: Taps) -> Conversation:
    if side.family:
        side = resolved(side)
    wanted = limits(args)
    conversation = connect(
        side.end,
        timeout=wanted.connect,
        tls=side.tls,
        proxy=side.proxy,
        local=side.local,
        taps=taps.conversation() if taps.conversation else (),
    )
    conversation.timeout = wanted.idle
    return conversation


def _allowed(args: Arguments) -> Callable[[Conversation], bool]:
    wanted = serving(args)
    access = Access(wanted.allow, wanted.deny)

    def allowed(conversation: Conversation) -> bool:
        conversation.timeout = limits(args).idle
        return not access or access.allows(conversation.remote_address.host)

    return allowed


def _transfer(
    conversation: Conversation, file: SourceFile | PartFile, args: Arguments
) -> Generator[object, None, None]:
    """Move one file, with a bar on a terminal."""
    progress = TransferProgress()
    yield Progress(lambda: progress.part)
    done = _move(conversation, file, args, progress)
    yield done
    yield from map(Remark, done.remarks)


def _move(
    conversation: Conversation,
    file: SourceFile | PartFile,
    args: Arguments,
    progress: TransferProgress | None = None,
) -> Transfer:
    wanted = limits(args)
    if isinstance(file, SourceFile):
        return send_file(
            conversation,
            file,
            resume=args.resume,
            sha256=args.sha256,
            idle=wanted.idle,
            rate=wanted.rate,
            progress=progress,
        )
    return receive_file(
        conversation,
        file,
        resume=args.resume,
        force=args.force,
        sha256=args.sha256,
        idle=wanted.idle,
        rate=wanted.rate,
        progress=progress,
    )


def _serve(
    listener: Listener,
    file: SourceFile,
    args: Arguments,
    allowed: Callable[[Conversation], bool],
) -> Generator[object, None, None]:
    """Send the file to whoever connects, many at once, until Ctrl-C."""
    from queue import SimpleQueue
    from threading import BoundedSemaphore, Thread

    told: SimpleQueue[Transfer | Remark | OSError] = SimpleQueue()
    free = BoundedSemaphore(min(serving(args).max_connections, _MOST))

    def accept() -> None:
        try:
            while True:
                free.acquire()
                conversation = listener.accept()
                # Daemons: a client that stands still must not keep the command from ending.
                Thread(target=send, args=(conversation,), daemon=True).start()
        except OSError as error:
            told.put(error)

    def send(conversation: Conversation) -> None:
        try:
            with conversation:
                if not allowed(conversation):
                    told.put(Remark(f"refused {conversation.name}: it is not among those allowed"))
                    return
                told.put(_move(conversation, file, args))
        except (SockwrightError, OSError) as error:
            told.put(Remark(f"{conversation.name}: {error}"))
        finally:
            free.release()

    Thread(target=accept, daemon=True).start()
    while True:
        outcome = told.get()
        if isinstance(outcome, OSError):
            raise outcome
        yield outcome
