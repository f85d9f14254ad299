"""For tests of TLS: certificates of an authority of their own, and our end of a connection."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.nc.peers import PATIENCE_S

from sockwright.nc.engine.loop import Loop
from sockwright.nc.tls.channel import TLSChannel
from sockwright.nc.tls.options import TLSOptions, fingerprint, server_context

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

__all__ = ["Authority", "Ends", "OurEnd"]

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate and its key, both in the file `path`."""

    path: str
    fingerprint: str


_SIGNS = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
    encipher_only=False, decipher_only=False,
)  # fmt: skip


class Authority:
    """Signs certificates; `path` is its own, which peers may trust."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        own = (
            x509.CertificateBuilder(self._name, self._name, self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            # What Python 3.13 wants of certificates by default (VERIFY_X509_STRICT; RFC 5280).
            .add_extension(_SIGNS, critical=True)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.path = str(folder / f"{name}.pem")
        (folder / f"{name}.pem").write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def sign(self, *names: str, days: tuple[int, int] = (-1, 1), passphrase: str = "") -> Shown:
        """Make a certificate for `names`, valid from and to so many days from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = (
            x509.CertificateBuilder(self._name, subject, key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * _DAY)
            .not_valid_after(now + days[1] * _DAY)
            .add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        locked = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else None
        path = self._folder / f"{certificate.serial_number}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                locked or serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return Shown(str(path), fingerprint(certificate.public_bytes(serialization.Encoding.DER)))


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class OurEnd:
    """A `TLSChannel` that receives all that comes, and sends what it is given when it can."""

    def __init__(self, loop: Loop, channel: TLSChannel) -> None:
        self.loop, self.channel = loop, channel
        self.received = bytearray()
        self.ended = False
        self.reads = True
        self.failure: Exception | None = None
        self.shaken = False
        self._to_send = memoryview(b"")
        self._ending = False
        channel.handshake(loop, self._shook, self._fail)

    def _shook(self) -> None:
        self.shaken = True
        self.channel.attach(self.loop, self.readable, self._writable)

    def _fail(self, error: Exception) -> None:
        self.failure = error

    def readable(self) -> None:
        """Receive what there is."""
        try:
            while self.reads and not self.ended and not self.failure:
                count = self.channel.receive_into(self.loop.buffer)
                if count is None:
                    return
                self.received += self.loop.buffer[:count]
                self.ended = not count
        except Exception as error:  # each test says which it expects
            self.failure = error

    def _writable(self) -> None:
        try:
            while self._to_send:
                taken = self.channel.send(self._to_send)
                if not taken:
                    return
                self._to_send = self._to_send[taken:]
            if self._ending:
                self._ending = False
                self.channel.send_eof()
        except Exception as error:  # each test says which it expects
            self.failure = error

    def send(self, octets: bytes, *, end: bool = False) -> None:
        """Send `octets`, and then the end, as the peer takes them."""
        self._to_send = memoryview(bytes(self._to_send) + octets)
        self._ending = end
        if self.shaken:
            self._writable()

    def end(self) -> None:
        """Half-close, behind what is to be sent."""
        self.send(b"", end=True)

    @property
    def sent(self) -> bool:
        """Whether the kernel has all that was to be sent."""
        return not self._to_send and not self._ending and not self.channel.unsent

    def until(self, condition: Callable[[], object]) -> None:
        """Run the loop until `condition` holds; a failure that nobody looks for is raised."""

        def too_late() -> None:
            raise AssertionError(f"not within {PATIENCE_S:g} s: {bytes(self.received[:100])!r}")

        timer = self.loop.later(PATIENCE_S, too_late)
        while not condition():
            if self.failure is not None:
                raise self.failure
            self.loop.step()
        timer.cancel()

    def until_failed(self) -> Exception:
        """Run the loop until it fails; give the failure."""
        try:
            self.until(lambda: self.ended)
        except AssertionError:
            raise
        except Exception as error:  # it is given
            return error
        raise AssertionError(f"it did not fail, and received {bytes(self.received)!r}")


class Line:
    """Somebody between two ends, who passes octets on, and can cut the line."""

    def __init__(self, outer: socket.socket, inner: socket.socket) -> None:
        self._outer, self._inner = outer, inner

    def pass_on(self) -> bool:
        """Pass on what there is, both ways."""
        for source, sink in ((self._inner, self._outer), (self._outer, self._inner)):
            source.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sink.sendall(source.recv(65536))
        return True

    def cut(self, more: int) -> None:
        """Pass on so many octets more of the server, and cut the line."""
        self._outer.settimeout(PATIENCE_S)
        while more:
            octets = self._outer.recv(more)
            self._inner.sendall(octets)
            more -= len(octets)
        self._inner.close()

    def close(self) -> None:
        """Cut the line."""
        self._outer.close()
        self._inner.close()


class Ends:
    """Makes our ends, and closes all of them with what they need."""

    def __init__(self) -> None:
        self.loop = Loop()
        self._made: list[TLSChannel | socket.socket | Line] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._made:
            one.close()
        self.loop.close()

    def client(self, port: int, options: TLSOptions, host: str = "localhost") -> OurEnd:
        """Connect to a server."""
        sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        channel = TLSChannel.connecting(sock, f"tls://{host}:{port}", options, host)
        return self.keep(channel)

    def server(self, options: TLSOptions) -> Callable[[socket.socket], OurEnd]:
        """Give a function that takes a connection, as a server."""
        context, _ = server_context(options)

        def accept(sock: socket.socket) -> OurEnd:
            return self.keep(TLSChannel.accepting(sock, "tls://client", context))

        return accept

    def listener(self) -> socket.socket:
        """Listen for peers."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE_S)
        self._made.append(listener)
        return listener

    def pair(
        self, server: TLSOptions, client: TLSOptions, host: str = "localhost"
    ) -> tuple[OurEnd, OurEnd]:
        """Give both ends of a connection, the server's first."""
        listener = self.listener()
        near = self.client(listener.getsockname()[1], client, host)
        return self.server(server)(listener.accept()[0]), near

    def pair_with_somebody_between(
        self, server: TLSOptions, client: TLSOptions
    ) -> tuple[OurEnd, OurEnd, Line]:
        """Give both ends of a connection whose handshake is done, and the line between them."""
        listener, middle = self.listener(), self.listener()
        near = self.client(middle.getsockname()[1], client)
        line = Line(socket.create_connection(listener.getsockname()), middle.accept()[0])
        self._made.append(line)
        far = self.server(server)(listener.accept()[0])

        def shaken() -> bool:
            line.pass_on()
            near.loop.later(0.001, lambda: None)
            return near.shaken and far.shaken

        near.until(shaken)
        return far, near, line

    def keep(self, channel: TLSChannel) -> OurEnd:
        self._made.append(channel)
        return OurEnd(self.loop, channel)
