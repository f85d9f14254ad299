"""TLS (RFC 8446, RFC 5246): what is wanted of it, and the contexts that OpenSSL makes of that.

Rules:

- verification is the default; `TLSOptions(verify=False)` is what --insecure means, and whoever uses
  it shows the `fingerprint` of the certificate that nobody vouched for;
- a server without a certificate makes one: EC P-256, self-signed, good for a week. Its private key
  stays in memory (memfd_create(2)), and the next start has another;
- nothing asks for a passphrase on the terminal: what was not given is an error;
- every failure is a `TLSError` of one line: what OpenSSL said, in words, the likely cause, the
  fingerprint of the certificate that was not trusted, and how to trust it.

`nc.tls.session` is the connection itself, without I/O; `nc.tls.channel` its end in the event loop.
``ssl`` and ``cryptography`` take 10 and 60 ms to load, so they are loaded by what needs them.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sockwright.errors import TLSError, TLSSettingError
from sockwright.nc.tls.certificate import certificate_text, fingerprint, make_certificate
from sockwright.nc.tls.errors import explained

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

__all__ = [
    "TLSOptions",
    "TLSView",
    "check_settings",
    "client_context",
    "describe",
    "explained",
    "fingerprint",
    "name_to_verify",
    "server_context",
    "view",
]

_DIGITS = 64  # of a SHA-256


@dataclass(frozen=True, slots=True)
class TLSOptions:
    """What is wanted of TLS; files are of PEM (RFC 7468).

    `verify` is whether a client checks the certificate and the name of the server. `ca_file` and
    `ca_path` (a folder that ``openssl rehash`` made) are trusted instead of the system's list.
    `certificate` (with the chain below it) and `key` are one's own; the key may stand in the same
    file, `password` opens it. `alpn` are names of protocols, the preferred first (RFC 7301).
    `server_name` is the name to ask for (SNI, RFC 6066) and to verify, where it is not the host of
    the endpoint. `fingerprint`, of a client, is the SHA-256 of the only certificate that the server
    may have, as a listener tells it; whose name it has and who signed it does not matter then.
    `client_ca`, of a server: each client must have a certificate that one of these
    has signed. `ciphers` is an OpenSSL list for TLS 1.2; those of TLS 1.3 are all offered.
    """

    verify: bool = True
    ca_file: str | None = None
    ca_path: str | None = None
    certificate: str | None = None
    key: str | None = None
    password: str | None = None
    alpn: tuple[str, ...] = ()
    server_name: str | None = None
    fingerprint: str | None = None
    client_ca: str | None = None
    ciphers: str | None = None
    minimum_version: Literal["1.2", "1.3"] = "1.2"


def check_settings(options: TLSOptions) -> None:
    """Read all that is named, so that what cannot be used is told before anybody is called.

    Raises:
        TLSSettingError, OSError: as `client_context`.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _restrict(context, options)
    if options.fingerprint is not None:
        _whole_fingerprint(options.fingerprint)
    if options.ca_file is not None or options.ca_path is not None:
        _trust(context, options.ca_file, options.ca_path)
    if options.client_ca is not None:
        _trust(context, options.client_ca, None)
    if options.certificate is not None:
        _show(context, options.certificate, options.key, options.password)


@dataclass(frozen=True, slots=True)
class TLSView:
    """What TLS has agreed on with a peer.

    `version` is "TLSv1.3" or "TLSv1.2", `cipher` its name in OpenSSL, `alpn` the protocol that was
    chosen (RFC 7301), `certificate` the one that the peer showed, as DER; None where there is none.
    """

    version: str
    cipher: str
    alpn: str | None
    certificate: bytes | None

    @property
    def fingerprint(self) -> str | None:
        """The SHA-256 of the certificate of the peer, as ``sha256:AB:CD:…``."""
        return None if self.certificate is None else fingerprint(self.certificate)


def client_context(options: TLSOptions) -> ssl.SSLContext:
    """Give the context for clients, good for any number of connections.

    Loading the list of the system may take 20 ms, so connections should share a context.

    Raises:
        TLSSettingError: a file holds no certificate or key, or they do not belong together; the
            fingerprint is none.
        OSError: a file cannot be read; `filename` names it.
    """
    import ssl

    from sockwright.nc.tls.session import PinnedContext

    if options.fingerprint is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = PinnedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.fingerprint = _whole_fingerprint(options.fingerprint)
    _restrict(context, options)
    if not options.verify or options.fingerprint is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif options.ca_file is None and options.ca_path is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, options.ca_file, options.ca_path)
    if options.certificate is not None:
        _show(context, options.certificate, options.key, options.password)
    return context


def server_context(
    options: TLSOptions, names: Sequence[str] = ()
) -> tuple[ssl.SSLContext, str | None]:
    """Give the context for servers, and the fingerprint of the certificate if one was made for it.

    `names` are the hosts and addresses that clients reach the server by: a certificate that is made
    here is for these and for localhost.

    Raises:
        TLSSettingError, OSError: as `client_context`.
    """
    import ssl

    if options.fingerprint is not None:
        raise TLSSettingError("TLS: a fingerprint is what a client looks for, not a server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context, options)
    # A client that sends and leaves without reading would find tickets on its way out, and answer
    # them with RST, which throws away what we have not read. Nobody resumes a session of ours.
    context.num_tickets = 0
    made = None
    if options.certificate is not None:
        _show(context, options.certificate, options.key, options.password)
    else:
        pem, der = make_certificate(names)
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        made = fingerprint(der)
    if options.client_ca is not None:
        _trust(context, options.client_ca, None)
        context.verify_mode = ssl.CERT_REQUIRED
    return context, made


def _whole_fingerprint(text: str) -> str:
    """Give a fingerprint as `fingerprint` writes it; its colons and the case do not matter."""
    digits = text.lower().removeprefix("sha256:").replace(":", "")
    if len(digits) != _DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise TLSSettingError(f"TLS: {text!r} is no fingerprint: {_DIGITS} hex digits")
    return "sha256:" + bytes.fromhex(digits).hex(":").upper()


def _restrict(context: ssl.SSLContext, options: TLSOptions) -> None:
    """Apply what clients and servers have in common."""
    import ssl

    versions = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
    context.minimum_version = versions[options.minimum_version]
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if options.ciphers is not None:
        try:
            context.set_ciphers(options.ciphers)
        except ssl.SSLError as error:
            message = f"TLS: no cipher is called {options.ciphers!r} ('openssl ciphers' lists them)"
            raise TLSSettingError(message) from error
    if options.alpn:
        try:
            context.set_alpn_protocols(options.alpn)
        except (ssl.SSLError, UnicodeEncodeError) as error:
            message = f"TLS: a name for ALPN has 1 to 255 ASCII characters, not {options.alpn}"
            raise TLSSettingError(message) from error


def _trust(context: ssl.SSLContext, file: str | None, folder: str | None) -> None:
    """Load the certificates that are trusted."""
    import ssl

    if folder is not None and not os.path.isdir(folder):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder)
    try:
        context.load_verify_locations(file, folder)
    except ssl.SSLError as error:
        raise TLSSettingError(f"TLS: {file} holds no certificate (PEM) to trust") from error
    except OSError as error:  # which does not say whose it is
        raise OSError(error.errno, error.strerror, file) from error


def _show(context: ssl.SSLContext, file: str, key: str | None, password: str | None) -> None:
    """Load the certificate that is shown to peers, and its key."""
    import ssl

    def ask() -> str:
        """Stand in for OpenSSL, which would ask on the terminal."""
        message = f"TLS: the key in {key or file} is locked by a passphrase; give it unlocked"
        raise TLSSettingError(message)

    try:
        for each in (file, key or file):
            with open(each, "rb"):  # OpenSSL does not say which of the two it cannot read
                pass
        context.load_cert_chain(file, key, ask if password is None else password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            said = f"the certificate in {file} and the key in {key or file} are not a pair"
        elif password is not None:
            said = f"{key or file} holds no key that this passphrase opens"
        elif key is None:
            said = (
                f"{file} holds no certificate with its key (PEM); a key in a file of its own is "
                "--tls-key FILE"
            )
        else:
            said = f"{file} holds no certificate, or {key} no key (PEM)"
        raise TLSSettingError(f"TLS: {said}") from error


def name_to_verify(options: TLSOptions, host: str) -> str:
    """Give the name that a client asks `host` for and verifies; a zone (%eth0) is none of it.

    Raises:
        TLSError: there is none.
    """
    name = (options.server_name or host.partition("%")[0]).rstrip(".")
    if not name or name.startswith("."):
        raise TLSError("TLS: there is no name to verify the server by; --tls-name gives one")
    try:
        name.encode("idna")
    except UnicodeError as error:
        raise TLSError(f"TLS: {name!r} cannot be the name of a host") from error
    return name


def view(connection: ssl.SSLObject | ssl.SSLSocket) -> TLSView:
    """Give what a connection whose handshake is done has agreed on."""
    cipher = connection.cipher()
    return TLSView(
        connection.version() or "",
        cipher[0] if cipher else "",
        connection.selected_alpn_protocol(),
        connection.getpeercert(binary_form=True),
    )


def describe(connection: ssl.SSLObject | ssl.SSLSocket) -> list[str]:
    """Give lines about a connection whose handshake is done, for -v.

    The first has version, cipher and protocol (ALPN), the second the certificate of the peer.
    """
    cipher = connection.cipher()
    protocol = connection.selected_alpn_protocol()
    der = connection.getpeercert(binary_form=True)
    return [
        f"{connection.version()}, {cipher[0] if cipher else 'no cipher'}, "
        + (f"protocol {protocol}" if protocol else "no protocol chosen (ALPN)"),
        f"the peer is {certificate_text(der)}" if der else "the peer showed no certificate",
    ]
