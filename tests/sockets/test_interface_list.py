"""Interfaces as the kernel lists them, beside `ip`."""

from __future__ import annotations

import json
import subprocess

import pytest

from sockwright.sockets import interfaces


@pytest.mark.needs("ip")
def test_interfaces_are_those_that_ip_shows() -> None:
    theirs = json.loads(
        subprocess.run(["ip", "-json", "addr"], capture_output=True, text=True, check=True).stdout
    )
    ours = {interface.name: interface for interface in interfaces()}
    assert set(ours) == {one["ifname"] for one in theirs}
    for one in theirs:
        interface = ours[one["ifname"]]
        assert (interface.index, interface.mtu) == (one["ifindex"], one["mtu"])
        assert (interface.state == "down") == ("UP" not in one["flags"])
        if one["link_type"] in {"ether", "loopback"}:
            assert interface.link_type == 1
            assert interface.mac == one["address"]
        shown = {f"{each['local']}/{each['prefixlen']}" for each in one["addr_info"]}
        assert set(interface.addresses) == shown
