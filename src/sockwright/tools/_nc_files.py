"""`sw nc --send FILE` and `--receive FILE`: a row for each file that got through.

The file is opened before anybody is called or waited for, so that what is wrong with it is said
first. Connections are those of `nc.conversation`, so TLS, proxies, taps and programs work too.
"""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.errors import UsageError
from sockwright.nc.conversation import Listener, connect, listen
from sockwright.nc.ends import SocketEnd
from sockwright.nc.files.part_file import PartFile
from sockwright.nc.files.source_file import SourceFile
from sockwright.nc.files.transfer import Transfer, TransferProgress, receive_file, send_file
from sockwright.nc.files.wire import open_wire
from sockwright.tools._nc_job import far_side, limits, resolved, serving
from sockwright.tools._nc_taps import Taps
from sockwright.tools._rows import Progress, Remark

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from sockwright.nc.access import Access
    from sockwright.nc.conversation import Conversation
    from sockwright.nc.engine.settings import Limits, Serving, Side, SocketOptions
    from sockwright.tools._flags import Arguments

__all__ = ["FileJob", "transferring"]

_RESET, _POLITE = struct.pack("@ii", 1, 0), struct.pack("@ii", 0, 0)  # SO_LINGER, socket(7)
_HANDSHAKE = 30.0  # seconds for TLS of a client, where -w does not say


@dataclass(frozen=True, slots=True)
class FileJob:
    """What is to be moved, and how: the same for each client."""

    file: SourceFile | PartFile
    resume: bool
    sha256: bool
    idle: float | None
    rate: float | None
    options: SocketOptions | None

    def prepare(self, sock: socket.socket) -> None:
        """Prepare a socket before it is connected. Raises: OSError: an option cannot be set.

        Until `begin` closing it resets the connection: to a peer without --resume a polite end
        would be an empty file.
        """
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if self.options is not None:
            from sockwright.nc.opening.socket_options import set_options

            set_options(sock, self.options)

    def begin(self, conversation: Conversation) -> None:
        """Begin with a connection, ours or a client's. Raises: OSError: it is gone."""
        conversation.timeout = self.idle
        if conversation.socket is not None:
            self.prepare(conversation.socket)
            conversation.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _POLITE)

    def move(self, conversation: Conversation, progress: TransferProgress | None) -> Transfer:
        """Send or receive. Raises: as `nc.files.transfer.send_file` and `receive_file`."""
        if isinstance(self.file, SourceFile):
            return send_file(
                conversation, self.file, resume=self.resume, sha256=self.sha256, idle=self.idle,
                rate=self.rate, progress=progress,
            )  # fmt: skip
        return receive_file(
            conversation, self.file, resume=self.resume, sha256=self.sha256, idle=self.idle,
            rate=self.rate, progress=progress,
        )  # fmt: skip


def transferring(args: Arguments) -> Generator[object, None, int]:
    """Yield a row for each file that got through; return the exit status.

    Raises:
        UsageError: the line cannot be understood.
        FileRefusedError, TransferError, TLSError, ProxyError, OSError: it did not get through.
    """
    side, limit, served = far_side(args), limits(args), serving(args)
    _check(args, side, served)
    if side.tls is not None:
        from sockwright.nc.tls.options import check_settings

        check_settings(side.tls)
    access = _access(side, served)
    with ExitStack() as stack:
        taps = stack.enter_context(Taps(args))
        file: SourceFile | PartFile
        if args.send is not None:
            file = SourceFile(_named(args.send, "--send"))
        else:
            name = _named(args.receive, "--receive")
            file = PartFile(name, resume=args.resume, force=args.force)
        stack.enter_context(file)
        job = FileJob(file, args.resume, args.sha256, limit.idle, limit.rate, side.options)
        if served.keep:
            from sockwright.tools._nc_file_serving import serve_many

            with _listening(side, taps) as listener:
                yield from _announced(listener, args)
                yield from serve_many(job, listener, served, access, taps)
            return 0
        if side.listen:
            with _listening(side, taps) as listener:
                yield from _announced(listener, args)
                conversation = yield from _first(listener, access)
        else:
            conversation = _connected(side, limit, taps, job)
        yield from _one(conversation, job, args, taps)
        return int(taps.failed)


def _one(
    conversation: Conversation, job: FileJob, args: Arguments, taps: Taps
) -> Generator[object, None, None]:
    """Yield what there is to say of one transfer, and its row."""
    progress = TransferProgress()
    with conversation:
        try:
            job.begin(conversation)
            yield Progress(lambda: progress.part, lambda: (progress.done, progress.total))
        except BaseException:
            # To a peer without --resume a polite end would be an empty file.
            open_wire(conversation, job.file.path).abort()
            raise
        try:
            transfer = job.move(conversation, progress)
        except KeyboardInterrupt:
            yield from _interrupted(job.file, progress)
            raise
        finally:
            yield from taps_reports(taps)
    yield from (Remark(text) for text in transfer.remarks)
    if not args.quiet:
        yield transfer


def _check(args: Arguments, side: Side, served: Serving) -> None:
    flag = "--send" if args.send is not None else "--receive"
    if isinstance(side.end, SocketEnd) and side.end.keeps_boundaries:
        raise UsageError(f"{flag} needs a stream of octets, and {side.end} keeps boundaries")
    if served.keep and args.receive is not None:
        raise UsageError("-k and --receive exclude each other: one FILE is one transfer")
    if side.telnet or side.crlf or args.delay is not None:
        raise UsageError(f"-t, -C and -i change what is sent, and {flag} moves a file as it is")


def _named(path: str, flag: str) -> str:
    """Refuse names that stand for something else elsewhere."""
    if path == "-":
        raise UsageError(
            f"{flag} wants the name of a file; standard input and output are what sw nc joins to "
            f"the peer without {flag} (a file of that name is ./-)"
        )
    return path


def _connected(side: Side, limit: Limits, taps: Taps, job: FileJob) -> Conversation:
    if side.family:
        side = resolved(side)
    return connect(
        side.end,
        timeout=limit.connect,
        tls=side.tls,
        proxy=side.proxy,
        local=side.local,
        taps=taps.makers,
        prepare=job.prepare,
    )


@contextmanager
def _listening(side: Side, taps: Taps) -> Iterator[Listener]:
    with listen(side.end, tls=side.tls, taps=taps.makers) as listener:
        yield listener


def _announced(listener: Listener, args: Arguments) -> Iterator[Remark]:
    if args.quiet:
        return
    if listener.fingerprint is not None:
        made = listener.fingerprint
        yield Remark(f"made a certificate for this run, its fingerprint is {made}")
    yield Remark(f"listening on {listener.name}")


def _first(listener: Listener, access: Access | None) -> Generator[Remark, None, Conversation]:
    """Wait for the first client that may come."""
    while True:
        conversation = listener.accept()
        if may_come(conversation, access):
            return conversation
        yield turned_away(conversation, access)


def _access(side: Side, served: Serving) -> Access | None:
    if not (served.allow or served.deny) or not isinstance(side.end, SocketEnd):
        return None
    from sockwright.nc.access import access_to

    return access_to(side.end.endpoint.scheme, served.allow, served.deny)


def may_come(conversation: Conversation, access: Access | None) -> bool:
    """Tell whether a client is among those that are allowed; UNIX sockets have no addresses."""
    if access is None:
        return True
    try:
        address = conversation.remote_address
    except OSError:  # gone already
        return False
    return address.scheme != "tcp" or access.allows(address.host)


def turned_away(conversation: Conversation, access: Access | None) -> Remark:
    """Close it, and say so."""
    host = ""
    with suppress(OSError):  # gone already
        host = conversation.remote_address.host
    conversation.close()
    why = access.refusal(host) if access is not None else "it is gone"
    return Remark(f"refused {conversation.name}: {why}")


def taps_reports(taps: Taps) -> Iterator[Remark]:
    """Yield what the taps have to say."""
    while taps.reports:
        yield Remark(taps.reports.pop(0))


def _interrupted(file: SourceFile | PartFile, progress: TransferProgress) -> Iterator[Remark]:
    if isinstance(file, SourceFile):
        yield Remark(f"{progress.done} of {progress.total} octets of {file.path} were sent")
        return
    with suppress(OSError):  # nothing came
        kept = Path(file.part).stat().st_size
        yield Remark(f"{file.part} keeps {kept} octets, --resume on both sides goes on with them")
