from __future__ import annotations

import socket
import subprocess
import sys
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sockwright.errors import UsageError
from sockwright.nc.access import Access, read_list

if TYPE_CHECKING:
    from tests.nc.peers import Peers

networks = st.builds(
    lambda address, bits: ip_network((address, bits % (address.max_prefixlen + 1)), strict=False),
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)),
    st.integers(0, 128),
)
MAPPED = IPv6Network("::ffff:0:0/96")
# Near each other, so that networks have neighbours within and without.
near = st.integers(0, 7).map(lambda low: IPv4Address(0x0A000000 + low))


def test_everybody_may_connect_where_nothing_is_said() -> None:
    access = Access()
    assert not access
    assert access.allows("192.0.2.1")
    assert access.allows("::1")
    assert access.allows("")


def test_with_an_allow_list_only_those_may_connect() -> None:
    access = Access(allow=["192.0.2.0/24", "::1"])
    assert access
    assert access.restricts
    assert access.allows("192.0.2.255")
    assert access.allows("::1")
    assert not access.allows("192.0.3.0")
    assert not access.allows("::2")


def test_a_refusal_says_which_list_it_is_for() -> None:
    access = Access(allow=["192.0.2.0/24"], deny=["192.0.2.7"])
    assert access.refusal("192.0.2.6") == ""
    assert access.refusal("192.0.2.7") == "it is among those that are denied"
    assert access.refusal("::1") == "it is not among those that are allowed"
    assert access.refusal("") == "it is not among those that are allowed"
    assert Access(deny=["::1"]).refusal("::1") == "it is among those that are denied"


def test_the_deny_list_wins() -> None:
    access = Access(allow=["192.0.2.0/24"], deny=["192.0.2.7"])
    assert access.allows("192.0.2.6")
    assert not access.allows("192.0.2.7")
    assert access.allows("192.0.2.8")


def test_a_deny_list_alone_lets_all_others_in() -> None:
    access = Access(deny=["192.0.2.0/24"])
    assert not access.restricts
    assert not access.allows("192.0.2.7")
    assert access.allows("198.51.100.1")
    assert access.allows("2001:db8::1")


@pytest.mark.parametrize(
    ("entry", "inside", "outside"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.9/31", "192.0.2.8", "192.0.2.10"),
        ("0.0.0.0/0", "255.255.255.255", "::"),
        ("::/0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "192.0.2.1"),
        ("192.0.2.10-192.0.2.20", "192.0.2.20", "192.0.2.21"),
        ("192.0.2.10-20", "192.0.2.10", "192.0.2.9"),
        ("2001:db8::1-2001:db8::ff", "2001:db8::80", "2001:db8::100"),
        ("fe80::/10", "fe80::1%eth0", "fec0::1"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.7", "::ffff:192.0.2.7", "::192.0.2.7"),
        ("::ffff:192.0.2.0/120", "::ffff:192.0.2.7", "192.0.3.0"),
        ("127.0.0.1, ::1", "::1", "::2"),
    ],
)
def test_an_entry_says_who_is_meant(entry: str, inside: str, outside: str) -> None:
    access = Access(allow=[entry])
    assert access.allows(inside)
    assert not access.allows(outside)


def test_a_name_stands_for_the_addresses_that_it_has() -> None:
    access = Access(allow=["localhost"])
    found = {str(row[4][0]) for row in socket.getaddrinfo("localhost", None)}
    assert found
    assert all(access.allows(address) for address in found)
    assert not access.allows("192.0.2.1")


def test_a_peer_without_an_ip_address_is_on_no_list() -> None:
    assert not Access(allow=["0.0.0.0/0", "::/0"]).allows("unix:/run/app.sock")
    assert Access(deny=["0.0.0.0/0", "::/0"]).allows("unix:/run/app.sock")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("192.0.2", "'192.0.2' is not an IP address"),
        ("192.0.2.256", "is not an IP address"),
        ("192.0.2.0/33", r"not in 0\.\.32"),
        ("::/129", r"not in 0\.\.128"),
        ("192.0.2.0/", r"not in 0\.\.32"),
        ("192.0.2.0/255.255.255.0", r"not in 0\.\.32"),
        ("example/24", "'example' is not an IP address"),
        ("192.0.2.9-192.0.2.1", "ends before it begins"),
        ("192.0.2.9-300", "not a range"),
        ("192.0.2.9-::1", "one family"),
        ("fe80::1%eth0", "on which interface"),
        (":::", "is not an IP address"),
        ("no-such-host.invalid", "has no address"),
        ("a" * 300, "has no address"),
    ],
)
def test_an_entry_that_is_none_is_refused(entry: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Access(allow=[entry])


def test_a_file_of_entries_has_comments_and_as_many_in_a_line_as_one_likes() -> None:
    text = "# ours\n192.0.2.0/24 2001:db8::/32  # both\n\n  198.51.100.1,198.51.100.2\r\n"
    entries = read_list(text)
    assert entries == ("192.0.2.0/24", "2001:db8::/32", "198.51.100.1,198.51.100.2")
    assert Access(allow=entries).allows("198.51.100.2")


@given(st.lists(networks, max_size=8), st.one_of(st.ip_addresses(), near))
def test_membership_is_that_of_the_networks(
    listed: list[IPv4Network | IPv6Network], address: IPv4Address | IPv6Address
) -> None:
    # What lies in the mapped block counts as IPv4, which has tests of its own.
    assume(address not in MAPPED)
    assume(not any(network.version == 6 and network.subnet_of(MAPPED) for network in listed))
    expected = any(address in network for network in listed)
    assert Access(deny=[str(network) for network in listed]).allows(str(address)) is not expected


@given(st.lists(st.tuples(near, near), min_size=1, max_size=6), near)
def test_ranges_that_overlap_or_touch_are_one_set(
    ranges: list[tuple[IPv4Address, IPv4Address]], address: IPv4Address
) -> None:
    ordered = [sorted(pair) for pair in ranges]
    access = Access(allow=[f"{low}-{high}" for low, high in ordered])
    assert access.allows(str(address)) is any(low <= address <= high for low, high in ordered)


def test_a_hundred_thousand_entries_are_looked_up_at_once() -> None:
    access = Access(deny=[str(ip_address(0x0A000000 + 2 * number)) for number in range(100_000)])
    assert not access.allows("10.0.0.2")
    assert access.allows("10.0.0.3")
    assert not access.allows(str(ip_address(0x0A000000 + 199_998)))


@pytest.mark.needs("ncat")
def test_the_rules_are_those_of_ncat(peers: Peers) -> None:
    allow, deny = "127.0.0.0/29", "127.0.0.2,127.0.0.4/31"
    options = ("-k", "--allow", allow, "--deny", deny, "-e", "/bin/cat")
    server = peers.server("ncat", "tcp4", *options)
    place = server.until_listening()
    access = Access([allow], [deny])
    verdicts = {}
    for number in range(1, 10):
        address = f"127.0.0.{number}"
        with socket.create_connection(
            ("127.0.0.1", place.port), timeout=10, source_address=(address, 0)
        ) as client:
            try:
                client.sendall(b"x")
                verdicts[address] = client.recv(1) == b"x"
            except ConnectionError:
                verdicts[address] = False
    assert verdicts == {address: access.allows(address) for address in verdicts}
    assert set(verdicts.values()) == {True, False}


def test_looking_at_addresses_imports_nothing_heavy() -> None:
    code = "import sys, sockwright.nc.access; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert not {"ipaddress", "dataclasses", "asyncio", "ssl"} & set(done.stdout.split())
