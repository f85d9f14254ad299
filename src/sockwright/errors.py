"""Every error of this package.

Kernel errors stay `OSError`. Wrong arguments of a Python call stay `ValueError` and `TypeError`.
Everything else that this package raises on its own is a `SockwrightError`, and each of those knows
the exit status that the command ends with when it meets one.
"""

from __future__ import annotations

import copyreg

__all__ = [
    "ClosedError",
    "DecodeError",
    "EndOfStreamError",
    "EndpointError",
    "FileRefusedError",
    "LayerError",
    "LimitError",
    "NotPossibleError",
    "ProxyError",
    "SettingError",
    "SockwrightError",
    "TLSError",
    "TLSSettingError",
    "TargetError",
    "TransferError",
    "TruncatedError",
    "UsageError",
]


class SockwrightError(Exception):
    """The base of all errors of this package."""

    exit_status = 1


class UsageError(SockwrightError):
    """The command was called with words that do not fit."""

    exit_status = 2


class EndpointError(UsageError, ValueError):
    """An endpoint such as ``tcp://host:port`` is not well formed."""


class TargetError(UsageError, ValueError):
    """What is to be scanned, an address, a range or a port, is not well formed."""


class SettingError(UsageError, ValueError):
    """What is asked of a scan is out of range, or contradicts itself."""


class NotPossibleError(SockwrightError):
    """A privilege, a kernel feature, a program or an optional package is missing here.

    `missing` names it, `remedy` says how to get it.
    """

    exit_status = 5

    def __init__(self, missing: str, remedy: str = "") -> None:
        super().__init__(f"{missing}; {remedy}" if remedy else missing)
        self.missing = missing
        self.remedy = remedy


class ClosedError(SockwrightError, ValueError):
    """What was closed is asked for more."""


class EndOfStreamError(SockwrightError, EOFError):
    """The peer ended the stream before what was asked for; `partial` holds what did arrive."""

    def __init__(self, message: str, partial: bytes) -> None:
        super().__init__(message)
        self.partial = partial


class TLSError(SockwrightError):
    """TLS did not come about: the certificate is not trusted, or the handshake failed."""

    exit_status = 4


class TLSSettingError(TLSError):
    """What this side wants of TLS cannot be: a file without a certificate, a cipher nobody knows.

    No peer has a part in it, so the command ends as for a wrong word.
    """

    exit_status = 2


class ProxyError(SockwrightError):
    """A proxy refuses, ends the connection, or says what no proxy says.

    `code` is its answer: the reply of SOCKS or the status of HTTP; None where there was none.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class LimitError(SockwrightError, ValueError):
    """The peer sent more than the limit that was given."""


class LayerError(SockwrightError, KeyError):
    """A packet was asked for a layer that it does not have."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class DecodeError(SockwrightError, ValueError):
    """Octets do not hold what they claim.

    `layer` is the name of the header, `offset` the octet (from the start of the packet or file)
    where decoding stopped.
    """

    exit_status = 6

    def __init__(self, layer: str, offset: int, message: str) -> None:
        super().__init__(f"{layer} at octet {offset}: {message}")
        self.layer = layer
        self.offset = offset
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what the error says; subclasses are made from other arguments than the text."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class TruncatedError(DecodeError):
    """Octets end before what they claim to hold: `needed` octets, `available` octets."""

    def __init__(
        self, layer: str, offset: int, needed: int, available: int, what: str = ""
    ) -> None:
        subject = f"{what} needs" if what else "needs"
        super().__init__(layer, offset, f"{subject} {needed} octets, {available} are there")
        self.needed = needed
        self.available = available


class FileRefusedError(SockwrightError):
    """A file is not sent, or not written, because of what it is or what is there already."""


class TransferError(SockwrightError):
    """A file did not get through whole, or the two ends do not agree on how to send it."""
