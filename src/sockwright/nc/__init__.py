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
    from sockwright.nc.checking import PortCheck, check_ports
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
    from sockwright.nc.proxy import Proxy, parse_proxy
    from sockwright.nc.relaying import Relayed
    from sockwright.nc.tap import Tap
    from sockwright.nc.tls import TLSOptions

__all__ = [
    "Access",
    "Conversation",
    "End",
    "Listener",
    "PortCheck",
    "ProcessConversation",
    "Proxy",
    "Relayed",
    "TLSOptions",
    "Tap",
    "check_ports",
    "connect",
    "listen",
    "parse_end",
    "parse_proxy",
    "relay",
    "spawn",
]

_MODULES = {
    "access": ("Access",),
    "checking": ("PortCheck", "check_ports"),
    "conversation": (
        "Conversation",
        "Listener",
        "ProcessConversation",
        "connect",
        "listen",
        "relay",
        "spawn",
    ),
    "ends": ("End", "parse_end"),
    "proxy": ("Proxy", "parse_proxy"),
    "relaying": ("Relayed",),
    "tap": ("Tap",),
    "tls": ("TLSOptions",),
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
