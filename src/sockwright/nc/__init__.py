r"""Conversations: move octets between this program and anything that a netcat can reach.

    from sockwright import nc

    with nc.connect("tcp://127.0.0.1:6379", timeout=5, newline=b"\r\n") as server:
        server.send_line(b"PING")
        assert server.recv_line() == b"+PONG"

`aio` has the same for asyncio. Nothing is loaded before it is used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.nc import aio as aio
    from sockwright.nc.access import Access
    from sockwright.nc.checking.check_ports import PortCheck, check_ports
    from sockwright.nc.conversation import (
        Conversation,
        Listener,
        ProcessConversation,
        connect,
        listen,
        relay,
        spawn,
    )
    from sockwright.nc.ends import End, parse_end
    from sockwright.nc.files.transfer import Transfer, TransferProgress, receive_file, send_file
    from sockwright.nc.programs.process import Process
    from sockwright.nc.proxy import Proxy, parse_proxy
    from sockwright.nc.talking.connecting import Place, TLSWish
    from sockwright.nc.talking.conversing import TapMaker, Timeout
    from sockwright.nc.talking.relaying import Relayed
    from sockwright.nc.taps.hexdump import HexDump, RawDump, TextDump
    from sockwright.nc.taps.recording import Recorder
    from sockwright.nc.taps.tap import Tap
    from sockwright.nc.tls.options import TLSOptions, TLSView

__all__ = [
    "Access",
    "Conversation",
    "End",
    "HexDump",
    "Listener",
    "Place",
    "PortCheck",
    "Process",
    "ProcessConversation",
    "Proxy",
    "RawDump",
    "Recorder",
    "Relayed",
    "TLSOptions",
    "TLSView",
    "TLSWish",
    "Tap",
    "TapMaker",
    "TextDump",
    "Timeout",
    "Transfer",
    "TransferProgress",
    "check_ports",
    "connect",
    "listen",
    "parse_end",
    "parse_proxy",
    "receive_file",
    "relay",
    "send_file",
    "spawn",
]

_MODULES = {
    "access": ("Access",),
    "checking.check_ports": ("PortCheck", "check_ports"),
    "talking.connecting": ("Place", "TLSWish"),
    "conversation": (
        "Conversation",
        "Listener",
        "ProcessConversation",
        "connect",
        "listen",
        "relay",
        "spawn",
    ),
    "talking.conversing": ("TapMaker", "Timeout"),
    "ends": ("End", "parse_end"),
    "files.transfer": ("Transfer", "TransferProgress", "receive_file", "send_file"),
    "taps.hexdump": ("HexDump", "RawDump", "TextDump"),
    "programs.process": ("Process",),
    "proxy": ("Proxy", "parse_proxy"),
    "taps.recording": ("Recorder",),
    "talking.relaying": ("Relayed",),
    "taps.tap": ("Tap",),
    "tls.options": ("TLSOptions", "TLSView"),
}


if not TYPE_CHECKING:  # seen by a type checker, it would make every misspelt name an object

    def __getattr__(name: str) -> object:
        if name == "aio":
            return import_module("sockwright.nc.aio")
        for module, names in _MODULES.items():
            if name in names:
                return getattr(import_module(f"sockwright.nc.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "aio"]
