"""What mypy --strict and pyright see of headers: right code passes, each mistake is an error."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = """
from ipaddress import IPv4Address, IPv6Address

from sockwright.wire import (
    AUTO, MSS, TCP, UDP, Ethernet, IPv4, IPv6, MACAddress, Packet, TCPFlags, WindowScale, vary
)

packet = (
    Ethernet()
    / IPv4(dst="10.0.0.2", ttl=3)
    / TCP(dst_port=443, flags="S", options=(MSS(1460), WindowScale(7)))
    / b"hi"
)
port: int = packet[TCP].dst_port
address: IPv4Address = packet[IPv4].dst
flags: TCPFlags = packet[TCP].flags
mac: MACAddress = packet[Ethernet].src
maybe: UDP | None = packet.get(UDP)
width: int = TCP.dst_port.width
packet[TCP].dst_port = 8443
packet[IPv4].dst = IPv4Address("10.0.0.3")
packet[IPv4].checksum = 0xDEAD
packet[IPv4].checksum = AUTO
six: IPv6Address = IPv6(src="::1").src
got: Packet = Ethernet.decode(bytes(packet), strict=True)
match got.layers:
    case (Ethernet(), IPv4(src=source), TCP(dst_port=8443), *_):
        found: IPv4Address = source
for variant in vary(packet, dst_port=range(3)):
    octets: bytes = bytes(variant)
"""

WRONG = """
from sockwright.lab import Labb  # wrong
from sockwright.sockets import conect  # wrong
from sockwright.wire import AUTO, TCP, Ethernet, IPv4

packet = Ethernet() / IPv4() / TCP()
packet[TCP].dst_prot = 5  # wrong
TCP(dst_prt=5)  # wrong
TCP(dst_port="http")  # wrong
IPv4(dst=3.5)  # wrong
packet[IPv4].ttl = "x"  # wrong
packet[IPv4].ttl = AUTO  # wrong
name: str = packet[IPv4].src  # wrong
TCP(80)  # wrong
packet / 5  # wrong
"""

MYPY = ("-m", "mypy", "--strict", "--no-incremental")
PYRIGHT = ("-m", "pyright", "--pythonpath", sys.executable)


def wrong_lines(checker: tuple[str, ...], source: str, folder: Path) -> list[int]:
    """Return the numbers of the lines that `checker` calls an error."""
    file = folder / "example.py"
    file.write_text(source)
    result = subprocess.run(
        [sys.executable, *checker, str(file)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=300,
    )
    assert result.returncode in (0, 1), result.stdout + result.stderr
    return [int(line) for line in re.findall(r"example\.py:(\d+):(?:\d+ -)? error", result.stdout)]


@pytest.mark.parametrize("checker", [MYPY, PYRIGHT], ids=["mypy", "pyright"])
def test_right_code_passes_and_each_mistake_is_an_error(
    checker: tuple[str, ...], tmp_path: Path
) -> None:
    assert wrong_lines(checker, RIGHT, tmp_path) == []
    expected = [
        number for number, line in enumerate(WRONG.splitlines(), 1) if line.endswith("# wrong")
    ]
    assert sorted(set(wrong_lines(checker, WRONG, tmp_path))) == expected
