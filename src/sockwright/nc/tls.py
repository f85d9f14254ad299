"""TLS (RFC 8446, RFC 5246) for any stream: options, contexts, certificates, and errors in words.

Rules:

- verification is the default; `TLSOptions(verify=False)` is what --insecure means, and whoever uses
  it shows the `fingerprint` of the certificate that nobody vouched for;
- a server without a certificate makes one: EC P-256, self-signed, valid for a week. Its private
  key stays in memory (memfd_create(2)), and another start has another key;
- a passphrase is never asked for on a terminal: what is not given is an error;
- every failure is a `TLSError` of one line: what OpenSSL said, in words, the likely cause, the
  fingerprint of the certificate that was not trusted, and how to trust it.

`ssl` and `cryptography` take 10 and 60 ms to load, so they are loaded by what needs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sockwright.errors import TLSError

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Sequence

    from sockwright.nc.tls_stream import TLSStream

__all__ = [
    "TLSOptions",
    "client_context",
    "describe",
    "explained",
    "fingerprint",
    "server_context",
    "wrap",
]


@dataclass(frozen=True, slots=True)
class TLSOptions:
    """What is wanted of TLS; the names of files are of PEM files (RFC 7468).

    `verify` is whether a client checks the certificate and the name of the server. `ca_file` and
    `ca_path` (a folder made by ``openssl rehash``) are trusted instead of the system's list.
    `certificate` (with the chain below it) and `key` are one's own; the key may stand in the same
    file, `password` opens it. `alpn` are protocol names, the preferred first (RFC 7301).
    `server_name` is the name to ask for (SNI) and to verify instead of that of the endpoint.
    `client_ca`, of a server: every client must have a certificate from one of these.
    `ciphers` is an OpenSSL list for TLS 1.2 (those of TLS 1.3 are all safe and all offered).
    """

    verify: bool = True
    ca_file: str | None = None
    ca_path: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = None
    alpn: tuple[str, ...] = ()
    server_name: str | None = None
    client_ca: str | None = None
    ciphers: str | None = None
    minimum_version: Literal["1.2", "1.3"] = "1.2"


def client_context(options: TLSOptions) -> ssl.SSLContext:
    """Give the context for clients; it can be used for any number of connections.

    Raises:
        TLSError: a file holds no certificate or key, or they do not belong together.
        OSError: a file cannot be read; `filename` names it.
    """
    raise NotImplementedError


def server_context(
    options: TLSOptions, names: Sequence[str] = ()
) -> tuple[ssl.SSLContext, str | None]:
    """Give the context for servers, and the fingerprint of the certificate if one was made.

    `names` are the host names and addresses that clients reach the server by; a certificate that
    is made here is for them and for localhost.

    Raises:
        TLSError, OSError: as `client_context`.
    """
    raise NotImplementedError


def fingerprint(der: bytes) -> str:
    """Give the SHA-256 of a certificate (DER) as ``sha256:AB:CD:…``, as ``openssl x509`` does."""
    from hashlib import sha256

    return "sha256:" + sha256(der).hexdigest(":").upper()


def describe(connection: ssl.SSLObject | ssl.SSLSocket) -> list[str]:
    """Give lines for -v: version, cipher, ALPN; the peer's subject, fingerprint and expiry."""
    raise NotImplementedError


def explained(
    error: OSError, peer: str, *, certificate: bytes | None = None, server_side: bool = False
) -> TLSError:
    """Give the error of a handshake with `peer` ("tls://…") as one line that says what to do.

    `error` is what `ssl` raised, or the kernel meanwhile. `certificate` (DER) is the one that was
    not trusted, as far as it is known.
    """
    raise NotImplementedError


def wrap(
    sock: socket.socket,
    options: TLSOptions | ssl.SSLContext,
    server_name: str | None = None,
    *,
    server_side: bool = False,
    timeout: float | None = None,
    peer: str = "the peer",
) -> TLSStream:
    """Shake hands over a connected socket, and give the stream of octets inside; it owns `sock`.

    A server makes its context once by `server_context` and passes it as `options`. `timeout`
    (seconds) limits the handshake and stays the time limit of each call. After a failure `sock` is
    closed.

    Raises:
        TLSError: the handshake failed, the certificate is not trusted.
        TimeoutError: it took longer than `timeout`.
    """
    raise NotImplementedError
