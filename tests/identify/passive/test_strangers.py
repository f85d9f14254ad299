"""Strangers' captures: nothing fails, and what systems say of themselves is what comes out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from sockwright.errors import DecodeError
from sockwright.identify.database import load_signatures
from sockwright.identify.matching import match
from sockwright.identify.passive import Observer, Overheard, identify_capture

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.identify.passive import HostIdentity

_CAPTURES = 800  # of the 830 files; the others are broken in their header
_LONGEST_S = 5.0  # for one of them, on a busy machine
_STACK = {"syn", "syn_ack"}
_SURE = 0.5


@pytest.fixture(scope="module")
def overheard(captures: Path) -> dict[str, Overheard]:
    signatures = load_signatures(learned=False)
    found = {}
    for path in sorted((captures / "tcpdump").iterdir()):
        started = time.monotonic()
        try:
            found[path.name] = identify_capture(path, Observer(signatures))
        except DecodeError:
            continue  # no capture at all
        assert time.monotonic() - started < _LONGEST_S, path.name
    return found


def _host(overheard: dict[str, Overheard], name: str, address: str) -> HostIdentity:
    (found,) = [host for host in overheard[name].hosts if host.host == address]
    return found


def test_every_capture_is_gone_through(overheard: dict[str, Overheard]) -> None:
    assert len(overheard) >= _CAPTURES
    assert sum(found.packets for found in overheard.values()) > 10_000


def test_all_that_is_told_is_fit_for_a_terminal(overheard: dict[str, Overheard]) -> None:
    for found in overheard.values():
        for host in found.hosts:
            assert host.host.isprintable()
            assert all(one.told.isprintable() for one in host.evidence)
            assert all(line.isprintable() for line in host.explain().splitlines())


# What each of these hosts is stands in the capture: a banner, a User-Agent, a vendor class.
@pytest.mark.parametrize(
    ("name", "address", "best", "family"),
    [
        ("geneve.pcap", "30.0.0.1", "Ubuntu 12.04 (Linux 3.10-4.19)", "Linux"),
        ("geneve.pcap", "30.0.0.2", "Linux 2.6.38-3.9", "Linux"),
        ("ssh.pcap", "202.108.87.165", "macOS or iOS", "Apple"),
        ("ssh.pcap", "223.132.53.222", "Debian 9", "Linux"),
        ("mptcp-v0.pcap", "10.2.1.2", "Debian 6 (Linux 2.6.38-3.9)", "Linux"),
        ("print-flags.pcap", "127.0.0.1", "Linux 2.4-2.6.37", "Linux"),
        ("accecn_handshake.pcap", "66.228.43.12", "Ubuntu", "Linux"),
        ("accecn_handshake.pcap", "31.133.146.248", "FreeBSD 9-14", "FreeBSD"),
        ("ipv4_tcp_http_xml.pcap", "10.21.11.94", "Windows Server 2003", "Windows"),
        ("eapon1.pcap", "192.168.1.249", "Windows 2000, XP or Server 2003", "Windows"),
        ("dhcp-mud.pcap", "62.12.173.123", "Linux (dhcpcd)", "Linux"),
        ("dhcp-option-108.pcapng", "42:b4:44:b4:f0:ee", "macOS", "Apple"),
        ("dcb_pfc.pcap", "08:00:27:46:e8:84", "Linux (ISC dhclient)", "Linux"),
    ],
)
def test_known_systems_are_found(
    overheard: dict[str, Overheard], name: str, address: str, best: str, family: str
) -> None:
    found = _host(overheard, name, address).identification
    assert (found.best, found.family) == (best, family)
    assert found.confidence > 0.65


def test_the_system_of_a_switch_is_found(overheard: dict[str, Overheard]) -> None:
    # Dell's S4810 runs FTOS, which is made from NetBSD, and speaks to a controller on Linux.
    families = {host.identification.family for host in overheard["of10_s4810.pcap"].hosts}
    assert families == {"NetBSD", "Linux"}


def test_stacks_and_what_systems_say_of_themselves_agree(overheard: dict[str, Overheard]) -> None:
    compared, agreed = 0, 0
    for found in overheard.values():
        for host in found.hosts:
            stack = {
                one.identification.family
                for one in host.evidence
                if one.kind in _STACK and one.identification.confidence >= _SURE
            }
            told = {
                one.identification.family
                for one in host.evidence
                if one.kind not in _STACK and one.identification.confidence >= _SURE
            }
            if stack and told:
                compared += 1
                agreed += stack == told
    assert compared >= 3
    assert agreed == compared


def test_with_its_family_unknown_no_other_is_claimed(overheard: dict[str, Overheard]) -> None:
    signatures = load_signatures(learned=False)
    for found in overheard.values():
        for host in found.hosts:
            for one in host.evidence:
                family = one.identification.family
                others = [each for each in signatures if each.family != family]
                left = match(one.identification.measured, others)
                assert left.confidence < 0.6 or not family, (one.told, left.best)


def test_no_uptime_is_claimed_without_two_peers(overheard: dict[str, Overheard]) -> None:
    for found in overheard.values():
        for host in found.hosts:
            assert host.identification.uptime_ns is not None or host.identification.why_no_uptime
