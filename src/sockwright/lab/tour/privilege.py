"""The step with a privileged port: a listener on port 80, with the privilege and without it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sockwright.lab.tour.step import Step
from sockwright.lab.tour.stream import Teardown
from sockwright.sockets import connect, listen
from sockwright.sockets.privileges import Capability

if TYPE_CHECKING:
    from sockwright.lab.tour.stage import Ready, Stage

__all__ = ["STEPS"]

_SETTING = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def web_server(endpoint: str, ready: Ready) -> bytes:
    """Answer one request on the port of the web."""
    with listen(endpoint, timeout=3) as listener:
        ready()
        with listener.accept() as stream:
            request = stream.recv_until(b"\r\n\r\n")
            stream.send_all(b"HTTP/1.0 200 OK\r\n\r\nhello\n")
            return request


def web_client(endpoint: str) -> bytes:
    """Fetch a page."""
    with connect(endpoint, timeout=3) as stream:
        stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
        return stream.receive_all(limit=1000)


def try_port_80(endpoint: str) -> str:
    """Listen on port 80, or say why not."""
    try:
        listen(endpoint).close()
    except PermissionError as error:
        return str(error)
    return "listening"


def port80(stage: Stage) -> None:
    """Listen on port 80 with the privilege, then without it."""
    endpoint = f"tcp://{stage.b.ipv4}:80"
    server = stage.start(stage.b, web_server, endpoint)
    page = stage.call(stage.a, web_client, endpoint)
    server.result()
    stage.expect(page.endswith(b"hello\n"), f"the client received {page!r}")
    stage.wait_for(Teardown(), "end of the connection")
    first = int(stage.b.call(_SETTING.read_text))
    refusal = stage.call_unprivileged(stage.b, try_port_80, endpoint)
    if first > 80:
        stage.expect("CAP_NET_BIND_SERVICE" in refusal, f"without the privilege: {refusal}")
        stage.notes.append(f"Without a privilege the first port is {first} on host b.")
    else:
        stage.notes.append(
            f"Here ports from {first} are open to every user (ip_unprivileged_port_start), so it "
            "works without the privilege too."
        )


STEPS = (
    Step(
        "port80",
        "A listener on port 80",
        "Ports below 1024 take CAP_NET_BIND_SERVICE. With it: a web page. Without it the same "
        "listen() is refused, and the error says what is missing and where to get it.",
        port80,
        Capability.CAP_NET_BIND_SERVICE,
    ),
)
