"""TLS without I/O: encrypted octets come in and go out, octets come out and go in.

    session = TLSSession(context, "tls://example.net:443", server_name="example.net")
    while not session.handshake():
        sock.sendall(session.take())
        session.feed(sock.recv(65536))

Rules:

- what the network brings is given to `feed`; whatever else was called, `take` may have octets for
  the network afterwards (a reading side answers too: session keys are renewed, RFC 8446 4.6.3);
- `end` sends close_notify, and receiving goes on: the answer that comes late arrives;
- the end is what the peer says in a close_notify. A connection that ends without one may have been
  cut off by anybody: in the middle of a record that is an `EndOfStreamError`, between two it is the
  end, but `doubtful`. OpenSSL breaks the session there, so that socat and s_client neither deliver
  an answer nor exit with 0; here OpenSSL is not told, and sending goes on. For there are peers
  whose half-close is a FIN and nothing else (ncat), and whoever has the socket can find out that
  they still listen, see `nc.tls.channel`. Nothing is in doubt where the peer never sent an octet
  and knew of our end: it took what there was;
- renegotiation (TLS 1.2) is refused by the contexts of `options`: writing never waits for reading.

Why not `ssl.SSLSocket`? Its half-close cannot be used: ``unwrap()`` sends close_notify and then
reads, and OpenSSL breaks the session if that finds application data ("application data after close
notify"), which on a socket can come at any moment. Here all that came is read before. It is also
slower: OpenSSL reads each record of 16 KiB by two read(2) calls, 5 octets of header and the rest,
and writes each by one write(2). Through memory the kernel is asked once for 256 KiB; the additional
copy costs less than the calls.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from weakref import WeakKeyDictionary, WeakSet

from sockwright.errors import EndOfStreamError, TLSError
from sockwright.nc.tls.certificate import fingerprint
from sockwright.nc.tls.errors import explained

__all__ = ["PinnedContext", "TLSSession"]

_RECORD = 16384
_HEADER = 5
_HOOK = "_msg_callback"
_CERTIFICATE = 11  # the handshake message, RFC 8446 section 4


class PinnedContext(ssl.SSLContext):
    """A context for clients of a server whose certificate has this `fingerprint`, and no other."""

    fingerprint = ""


class TLSSession:
    """One side of a TLS connection with `peer`, as it is called in messages.

    A client verifies that the certificate is for `server_name`, as far as `context` verifies.
    `connection` is what ``ssl`` knows: version, cipher, certificate of the peer. `received_end` is
    whether the peer has ended, `doubtful` whether it did so without a word, see the rules above.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        peer: str,
        *,
        server_side: bool = False,
        server_name: str | None = None,
    ) -> None:
        self.peer = peer
        self.established = False
        self.sent_end = False
        self._server_side = server_side
        self._witness = _Witness.of(context)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.connection = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )
        if self._witness is not None:
            self._witness.enter(self.connection)
        self._kept = b""  # octets that were decrypted before somebody asked for them
        self.received_end = False
        self.doubtful = False
        self._failure: Exception | None = None
        self._received = False
        self._cut = False
        self._record = _Record()

    @property
    def pending(self) -> int:
        """How many encrypted octets wait for `take`."""
        return self._outgoing.pending

    def take(self) -> bytes:
        """Give the octets for the network; they are taken out."""
        return self._outgoing.read()

    def feed(self, octets: bytes | bytearray | memoryview) -> None:
        """Take octets from the network; none at all is the end of the connection."""
        if len(octets):
            self._incoming.write(octets)
            self._record.pass_over(octets)
        elif self.established:
            self._cut = True
        else:
            self._incoming.write_eof()

    def handshake(self) -> bool:
        """Go on with the handshake as far as what came allows; True: it is done.

        Raises:
            TLSError: it failed; `take` has the alert that tells the peer.
        """
        try:
            self.connection.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise self.explained(error) from error
        self._check_fingerprint()
        self.established = True
        self._forget()
        return True

    def _check_fingerprint(self) -> None:
        context = self.connection.context
        if not isinstance(context, PinnedContext):
            return
        certificate = self.connection.getpeercert(binary_form=True)
        shown = fingerprint(certificate) if certificate else "none"
        if shown != context.fingerprint:
            self.take()  # our certificate, perhaps, is not for this peer
            raise TLSError(
                f"TLS with {self.peer}: its certificate is {shown}, and not "
                f"{context.fingerprint}: it is another server, or has another certificate by now"
            )

    def explained(self, error: OSError) -> TLSError:
        """Give what ended the handshake in words, with the certificate that was not trusted."""
        witness = self._witness
        certificate = witness.seen.get(self.connection) if witness is not None else None
        self._forget()
        return explained(error, self.peer, certificate=certificate, server_side=self._server_side)

    def _forget(self) -> None:
        if self._witness is not None:
            self._witness.leave(self.connection)
            self._witness = None

    def receive_into(self, buffer: memoryview) -> int | None:
        """Give octets that came, and their number; None: more must be fed; 0: the end.

        Raises:
            EndOfStreamError: the connection ended in the middle of a record.
            TLSError: what came is not from the peer, or the peer says so of ours.
        """
        if self._kept:
            count = min(len(buffer), len(self._kept))
            buffer[:count] = self._kept[:count]
            self._kept = self._kept[count:]
            return count
        if self._failure is not None:
            raise self._failure
        count, size = 0, len(buffer)
        read = self.connection.read
        try:
            # One call gives one record at most.
            while count < size and not self.received_end:
                got: int = read(size - count, buffer[count:])  # type: ignore[assignment]
                self.received_end = not got
                count += got
        except ssl.SSLWantReadError:
            if not count:
                return self._found_end() if self._cut else None
        except ssl.SSLZeroReturnError:
            self.received_end = True
        except ssl.SSLError as error:
            self._failure = self.explained(error)
            if not count:
                raise self._failure from error
        self._received = self._received or count > 0
        return count

    def _found_end(self) -> int:
        """Judge the end of a connection that had no close_notify."""
        if not self._record.whole:
            self._failure = EndOfStreamError(self.doubt, b"")
            raise self._failure
        self.received_end = True
        self.doubtful = self._received or not self.sent_end
        return 0

    @property
    def doubt(self) -> str:
        """What to say of an end without close_notify."""
        return (
            f"{self.peer} closed the connection without the end of TLS (close_notify): octets at "
            "the end may be missing, cut off by the peer or on the way"
        )

    def send(self, octets: bytes | bytearray | memoryview) -> None:
        """Encrypt all of `octets`.

        Raises:
            TLSError: the session is broken.
            EndOfStreamError: it is since the connection ended without close_notify.
        """
        view = memoryview(octets)
        write = self.connection.write
        done = 0
        try:
            # One call makes one record at most.
            while done < len(view):
                done += write(view[done : done + _RECORD])
        except ssl.SSLError as error:
            raise self._failure or self.explained(error) from error

    def end(self) -> None:
        """Say that nothing more will be sent (close_notify); may be called twice."""
        if self.sent_end or not self.established:
            return
        self.sent_end = True
        kept, self._kept = [self._kept], b""
        piece = memoryview(bytearray(_RECORD))
        with suppress(EndOfStreamError, TLSError):  # `receive_into` raises it again
            while count := self.receive_into(piece):
                kept.append(bytes(piece[:count]))
        self._kept = b"".join(kept)
        with suppress(ssl.SSLError):  # it wants to read the peer's close_notify, and can wait
            self.connection.unwrap()


class _Record:
    """Knows where records end (RFC 8446 section 5.1), of the octets that pass by."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0

    @property
    def whole(self) -> bool:
        """Whether the last record is complete."""
        return not self._left and not self._header

    def pass_over(self, octets: bytes | bytearray | memoryview) -> None:
        """Go on to the end of `octets`."""
        position, size = 0, len(octets)
        while position < size:
            if self._left:
                step = min(self._left, size - position)
                self._left -= step
                position += step
                continue
            piece = octets[position : position + _HEADER - len(self._header)]
            self._header += piece
            position += len(piece)
            if len(self._header) == _HEADER:
                self._left = int.from_bytes(self._header[3:], "big")
                self._header.clear()


class _Witness:
    """Keeps the certificates that peers show, since OpenSSL drops one that it does not trust.

    It is called with each message of the handshakes of a context, by an attribute of the context
    that is not documented but in every CPython since 3.8; without it only the fingerprint in the
    message is missing. It leaves the context after the last handshake: records would call it too.
    """

    def __init__(self) -> None:
        self.seen: WeakKeyDictionary[object, bytes] = WeakKeyDictionary()
        self._shaking: WeakSet[ssl.SSLObject] = WeakSet()

    @classmethod
    def of(cls, context: ssl.SSLContext) -> _Witness | None:
        """Give the witness of the context, if it verifies at all."""
        if context.verify_mode == ssl.CERT_NONE or not hasattr(context, _HOOK):
            return None
        witness = getattr(context, _HOOK)
        if not isinstance(witness, cls):
            witness = cls()
            setattr(context, _HOOK, witness)
        return witness

    def enter(self, connection: ssl.SSLObject) -> None:
        """Watch a handshake; one that is never finished goes out by itself."""
        self._shaking.add(connection)

    def leave(self, connection: ssl.SSLObject) -> None:
        """Let go of the context after the last handshake."""
        self._shaking.discard(connection)
        if not self._shaking:
            setattr(connection.context, _HOOK, None)

    def __call__(
        self, connection: object, direction: str, version: int, _: int, kind: int, message: bytes
    ) -> None:
        if direction == "read" and kind == _CERTIFICATE:
            # After the header: in TLS 1.3 a context; the length of the list; that of the first.
            start = 4 + (1 + message[4] if version >= ssl.TLSVersion.TLSv1_3 else 0) + 3
            length = int.from_bytes(message[start : start + 3], "big")
            if length:
                self.seen[connection] = message[start + 3 : start + 3 + length]
