"""Comparisons of scans: what is a difference, and what loss explains."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from tests.scan.reports.samples import host, settings, summary

from sockwright.errors import DecodeError
from sockwright.identify.identification import Identification
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.reports.diff import Compared, Comparison, Difference, compare
from sockwright.scan.reports.json_lines import JsonLines
from sockwright.scan.reports.kept import Ranges
from sockwright.scan.reports.kept_files import read_kept
from sockwright.scan.reports.nmap_xml import NmapXml
from sockwright.scan.results import HostResult, Service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sockwright.scan.results import Summary

_PORTS = tuple(range(1, 101))


def refuse(line: str) -> None:
    raise AssertionError(line)


def keep(path: Path, *hosts: HostResult, end: Summary | None = None, xml: bool = False) -> str:
    kind = NmapXml if xml else JsonLines
    report = kind(str(path), complain=refuse)
    report.begin(settings(_PORTS), [], "x", 0)
    for one in hosts:
        report.host(one)
    report.end(end or summary(hosts=len(hosts), up=len(hosts)))
    return str(path)


def differences(
    folder: Path,
    old: Sequence[HostResult],
    new: Sequence[HostResult],
    *,
    old_end: Summary | None = None,
    new_end: Summary | None = None,
    xml: bool = False,
) -> list[Difference]:
    """Compare by files, and check that a scan at hand is compared as its file is."""
    folder /= str(len(list(folder.iterdir())))
    folder.mkdir()
    before = keep(folder / "old", *old, end=old_end, xml=xml)
    after = keep(folder / "new", *new, end=new_end, xml=xml)
    rows = list(compare(before, after))
    if not xml:
        at_hand = Comparison(read_kept(before))
        live = [row for one in new for row in at_hand.host(one)]
        live += at_hand.end(new_end or summary())  # type: ignore[arg-type]
        assert live == rows
    found = [row for row in rows if isinstance(row, Difference)]
    (compared,) = [row for row in rows if isinstance(row, Compared)]
    assert rows[-1] is compared
    assert compared.differences == sum(row.proven for row in found)
    assert compared.unproven == sum(not row.proven for row in found)
    return found


def short(row: Difference) -> tuple[str, str, str, bool]:
    return (row.ports, row.old, row.new, row.proven)


@pytest.mark.parametrize("xml", [False, True])
def test_a_scan_does_not_differ_from_itself(tmp_path: Path, xml: bool) -> None:
    many = host("192.0.2.2", closed=tuple(range(100, 200)), silent=tuple(range(200, 300)))
    assert not differences(tmp_path, [host(), many], [many, host()], xml=xml)


@pytest.mark.parametrize("xml", [False, True])
def test_an_answer_against_an_answer_is_a_difference(tmp_path: Path, xml: bool) -> None:
    found = differences(tmp_path, [host()], [host(open_ports=(22, 443), closed=(80,))], xml=xml)
    assert [short(row) for row in found] == [
        ("80", "open", "closed", True),
        ("443", "closed", "open", True),
    ]
    assert found[0].why == "both states rest on answers: syn-ack before, reset now"
    assert found[0].as_dict() == {
        "kind": "difference",
        "what": "port",
        "host": "192.0.2.1",
        "port": 80,
        "protocol": "tcp",
        "old": "open",
        "new": "closed",
        "old_reason": "syn-ack",
        "new_reason": "reset",
        "why": found[0].why,
    }


def test_silence_is_a_difference_where_nothing_is_lost(tmp_path: Path) -> None:
    (row,) = differences(tmp_path, [host()], [host(open_ports=(22,), silent=(80,))])
    assert short(row) == ("80", "open", "filtered", True)
    assert row.why.startswith("silent now to 2 tries; a loss of 0 % would hide 0 of 3")


def test_silence_that_loss_explains_is_unproven(tmp_path: Path) -> None:
    lossy = host(open_ports=(22,), silent=(80,), loss=0.3, tries=2)
    (row,) = differences(tmp_path, [host()], [lossy])
    assert short(row) == ("80", "open", "filtered", False)
    assert row.as_dict()["kind"] == "unproven"
    assert row.why == (
        "silent now to 2 tries; a loss of 30 % would hide 0.27 of 3 ports that answered the other "
        "scan, and 1 of them is silent"
    )


def test_enough_tries_make_silence_a_proof_in_spite_of_loss(tmp_path: Path) -> None:
    lossy = host(open_ports=(22,), silent=(80,), loss=0.3, tries=9)
    (row,) = differences(tmp_path, [host()], [lossy])
    assert row.proven


def test_more_silent_ports_than_loss_explains_are_differences(tmp_path: Path) -> None:
    old = host(open_ports=tuple(range(1, 21)))
    new = host(open_ports=tuple(range(1, 11)), silent=tuple(range(11, 21)), loss=0.1, tries=1)
    found = differences(tmp_path, [old], [new])
    assert len(found) == 10
    assert all(row.proven for row in found)


def test_what_the_scan_says_it_missed_counts(tmp_path: Path) -> None:
    new = host(open_ports=(22,), silent=(80,), misses=0.5)
    assert not differences(tmp_path, [host()], [new])[0].proven


@pytest.mark.parametrize("xml", [False, True])
def test_a_scan_of_a_host_that_is_not_complete_proves_no_silence(tmp_path: Path, xml: bool) -> None:
    new = host(open_ports=(22,), silent=(80,), complete=False)
    (row,) = differences(tmp_path, [host()], [new], xml=xml)
    assert not row.proven
    assert "not complete" in row.why


def test_the_old_scan_may_have_missed_it(tmp_path: Path) -> None:
    old = host(open_ports=(22,), silent=(80,), loss=0.5, tries=1)
    (row,) = differences(tmp_path, [old], [host()])
    assert short(row) == ("80", "filtered", "open", False)
    assert row.why.startswith("silent before to one try; a loss of 50 %")


def test_a_host_that_fell_silent_is_one_row_and_unproven(tmp_path: Path) -> None:
    (row,) = differences(
        tmp_path, [host()], [host(open_ports=(), closed=(), silent=(22, 80, 443), loss=None)]
    )
    assert (row.what, row.old, row.new, row.proven) == ("host", "up", "silent", False)


def test_ports_that_are_only_counted_are_compared_too(tmp_path: Path) -> None:
    many = tuple(range(1000, 1200))
    old, new = host(closed=many), host(closed=many[:100], silent=many[100:])
    (row,) = differences(tmp_path, [old], [new])
    assert short(row) == ("1100-1199", "closed", "filtered", True)
    (row,) = differences(tmp_path, [old], [new], xml=True)
    assert short(row) == ("1100-1199", "closed", "filtered", True)
    assert row.why == "silent now; that file does not tell how many packets were lost"
    # One of them is listed on the other side.
    (row,) = differences(
        tmp_path, [host(closed=many)], [host(open_ports=(22, 80, 1100), closed=many[:100])]
    )
    assert short(row) == ("1100", "closed", "open", True)


def udp(state: str, reason: str, *, limited: str = "", loss: float | None = 0.0) -> HostResult:
    """Return a host with an open UDP port and one in a state."""
    silent = number_of("no-response", "open|filtered")
    table = PortTable("192.0.2.1", "udp", (53, 161), silent)
    table.tries = 3
    table.set(0, number_of("udp-response", "open"), 1)
    if reason != "no-response":
        table.set(1, number_of(reason, state), 1)  # type: ignore[arg-type]
    if limited:
        table.limit(limited)
    return HostResult("192.0.2.1", "up", "echo-reply", ports=(table,), loss=loss, answers=2)


def test_silence_that_already_meant_open_is_no_difference(tmp_path: Path) -> None:
    (row,) = differences(
        tmp_path, [udp("open|filtered", "no-response")], [udp("open", "udp-response")]
    )
    assert not row.proven
    assert "may have been open" in row.why


def test_silence_of_a_host_that_limits_its_errors_is_unproven(tmp_path: Path) -> None:
    closed = udp("closed", "port-unreach")
    (row,) = differences(tmp_path, [closed], [udp("", "no-response", limited="icmp")])
    assert (row.new_reason, row.proven) == ("unproven", False)
    assert "answers were limited (icmp)" in row.why
    (row,) = differences(tmp_path, [closed], [udp("", "no-response")])
    assert row.proven


def test_ports_that_only_one_scan_asked_are_counted_and_not_compared(tmp_path: Path) -> None:
    old = keep(tmp_path / "old", host())
    new = keep(tmp_path / "new", host(open_ports=(22, 8080), closed=()))
    (compared,) = compare(old, new)
    assert isinstance(compared, Compared)
    assert compared.as_dict() == {
        "kind": "comparison",
        "hosts": 1,
        "differences": 0,
        "unproven": 0,
        "not_compared": 3,
        "hosts_not_compared": 0,
    }


def test_ports_that_are_only_counted_count_as_not_compared_too(tmp_path: Path) -> None:
    old = keep(tmp_path / "old", host(closed=tuple(range(1000, 1100))))
    new = keep(tmp_path / "new", host(closed=tuple(range(1050, 1200))))
    (compared,) = compare(old, new)
    assert isinstance(compared, Compared)
    assert compared.not_compared == 150


def test_ports_that_were_not_reached_are_not_compared(tmp_path: Path) -> None:
    new = host(open_ports=(22,), silent=(80, 443), complete=False)
    new.ports[0].silent = number_of("not-asked", "filtered")
    assert not differences(tmp_path, [host()], [new], new_end=summary(interrupted=True))


def service(name: str, version: str, confidence: float = 0.9, **more: str) -> HostResult:
    found = host()
    found.services["tcp", 80] = Service(
        name, confidence, "probed", more.get("product", "nginx"), version
    )
    return found


@pytest.mark.parametrize("xml", [False, True])
def test_a_service_that_changed_is_a_difference(tmp_path: Path, xml: bool) -> None:
    (row,) = differences(tmp_path, [service("http", "1.24")], [service("http", "1.25")], xml=xml)
    assert (row.what, row.old, row.new, row.proven) == (
        "service",
        "http (nginx 1.24)",
        "http (nginx 1.25)",
        True,
    )


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("9.2p1 Debian 2+deb12u10", "9.2p1", False),
        ("9.2p1", "9.2p1 Debian 2+deb12u10", False),
        ("9.2p1", "9.2p12", True),
        ("9.2p1 Debian", "9.2p1 Ubuntu", True),
    ],
)
def test_a_version_that_only_says_more_has_changed_unless_another_program_says_it(
    tmp_path: Path, old: str, new: str, differs: bool
) -> None:
    for xml in (False, True):
        assert differences(tmp_path, [service("ssh", old)], [service("ssh", new)], xml=xml)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    keep(theirs, service("ssh", old), xml=True)
    theirs.write_text(theirs.read_text().replace('scanner="sockwright"', 'scanner="nmap"'))
    for xml in (False, True):
        keep(ours, service("ssh", new), xml=xml)
        for pair in ((theirs, ours), (ours, theirs)):
            *found, _ = compare(*map(str, pair))
            assert bool(found) == differs
        ours.unlink()


def runs(best: str, confidence: float = 0.95) -> HostResult:
    found = host()
    family = "" if best == "unknown" else best.partition(" ")[0]
    found.os = Identification(found.host, best, family, confidence, (), {})
    return found


@pytest.mark.parametrize("xml", [False, True])
def test_another_system_is_a_difference_if_both_scans_were_sure(tmp_path: Path, xml: bool) -> None:
    (row,) = differences(tmp_path, [runs("Linux 6.1")], [runs("OpenBSD 7.5")], xml=xml)
    assert (row.what, row.old, row.new, row.proven) == ("system", "Linux 6.1", "OpenBSD 7.5", True)
    (row,) = differences(tmp_path, [runs("Linux 6.1")], [runs("OpenBSD 7.5", 0.5)], xml=xml)
    assert not row.proven
    assert "0.50" in row.why


@pytest.mark.parametrize("xml", [False, True])
def test_another_version_of_a_system_is_unproven(tmp_path: Path, xml: bool) -> None:
    (row,) = differences(tmp_path, [runs("Linux 6.1")], [runs("Linux 4.20-6.x")], xml=xml)
    assert not row.proven


def test_a_system_that_nobody_asked_for_or_that_nothing_fits_has_not_changed(
    tmp_path: Path,
) -> None:
    assert not differences(tmp_path, [runs("Linux 6.1")], [runs("unknown", 0.1)])
    assert not differences(tmp_path, [runs("Linux 6.1")], [host()])
    assert not differences(tmp_path, [runs("Linux 6.1")], [runs("Linux 6.1", 0.6)])


def test_the_family_of_a_system_is_the_one_that_nmap_tells(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(
        "<nmaprun><host><status state='up'/><address addr='192.0.2.1'/><os>"
        "<osmatch name='Microsoft Windows 10' accuracy='97'><osclass osfamily='Windows'/>"
        "<osclass osfamily='other'/></osmatch><osmatch name='x' accuracy='90'/></os>"
        "</host></nmaprun>"
    )
    (found,) = read_kept(str(path)).hosts.values()
    assert found.system == ("Microsoft Windows 10", "Windows", 0.97)


def test_a_service_that_told_less_or_was_not_asked_has_not_changed(tmp_path: Path) -> None:
    assert not differences(tmp_path, [service("http", "1.24")], [service("http", "")])
    assert not differences(tmp_path, [service("http", "1.24")], [host()])


def test_a_guess_at_a_service_proves_nothing(tmp_path: Path) -> None:
    (row,) = differences(
        tmp_path, [service("http", "1")], [service("ftp", "2", 0.3, product="vsftpd")]
    )
    assert not row.proven


def test_hosts_that_appear_and_vanish(tmp_path: Path) -> None:
    gone = HostResult("192.0.2.3", "down", "no-response")
    was_down = HostResult("192.0.2.4", "down", "no-response")
    found = differences(
        tmp_path,
        [host("192.0.2.1"), host("192.0.2.3"), was_down],
        [host("192.0.2.1"), gone, host("192.0.2.4")],
    )
    assert [(row.host, row.old, row.new, row.proven) for row in found] == [
        ("192.0.2.4", "down", "up", True),
        ("192.0.2.3", "up", "down", True),
    ]


@pytest.mark.parametrize("xml", [False, True])
def test_hosts_that_only_one_scan_asked_are_counted_and_not_compared(
    tmp_path: Path, xml: bool
) -> None:
    old = keep(tmp_path / "old", host("192.0.2.1"), host("192.0.2.2"), xml=xml)
    new = keep(tmp_path / "new", host("192.0.2.1"), host("192.0.2.3"), xml=xml)
    (compared,) = compare(old, new)
    assert compared == Compared(1, 0, 0, not_compared=6, hosts_not_compared=2)
    at_hand = Comparison(read_kept(old))
    live = [*at_hand.host(host("192.0.2.1")), *at_hand.host(host("192.0.2.3"))]
    assert [*live, *at_hand.end(summary(hosts=2, up=2))] == [compared]


@pytest.mark.parametrize("stopped", ["old", "new"])
def test_hosts_that_a_stopped_scan_did_not_come_to_are_not_compared(
    tmp_path: Path, stopped: str
) -> None:
    not_asked = HostResult("192.0.2.2", "unknown", "not-asked", complete=False)
    end = summary(hosts=2, interrupted=True)
    for short in ([host(), not_asked], [host()]):
        whole = keep(tmp_path / "whole", host(), host("192.0.2.2"))
        cut = keep(tmp_path / "cut", *short, end=end)
        (compared,) = compare(cut, whole) if stopped == "old" else compare(whole, cut)
        why = "it was interrupted" if stopped == "old" else ""
        expected = Compared(1, 0, 0, 3, hosts_not_compared=1, old_not_complete=why)
        assert compared == expected
        for path in ("whole", "cut"):
            (tmp_path / path).unlink()


def test_hosts_that_xml_lacks_may_be_among_those_that_it_only_counts(tmp_path: Path) -> None:
    down = HostResult("192.0.2.2", "down", "no-response")
    both, one = [host(), host("192.0.2.2")], [host(), down]
    end = summary(hosts=2)
    (gone,) = differences(tmp_path, both, one, new_end=end, xml=True)
    assert (gone.host, gone.old, gone.new, gone.proven) == ("192.0.2.2", "up", "", False)
    (there,) = differences(tmp_path, one, both, old_end=end, xml=True)
    assert (there.host, there.old, there.new, there.proven) == ("192.0.2.2", "", "up", False)
    assert all("it may not have been asked" in row.why for row in (gone, there))


def test_hosts_that_a_stopped_scan_did_not_hear_are_unproven(tmp_path: Path) -> None:
    down = HostResult("192.0.2.2", "down", "no-response")
    both, one, end = [host(), host("192.0.2.2")], [host(), down], summary(interrupted=True)
    (row,) = differences(tmp_path, both, one, new_end=end)
    assert (row.host, row.new, row.proven) == ("192.0.2.2", "down", False)
    assert "interrupted" in row.why
    (row,) = differences(tmp_path, one, both, old_end=end)
    assert (row.host, row.old, row.proven) == ("192.0.2.2", "down", False)
    assert "interrupted" in row.why


def test_a_host_that_somebody_says_is_gone_is_gone(tmp_path: Path) -> None:
    gone = HostResult("192.0.2.1", "down", "host-unreach")
    (row,) = differences(tmp_path, [host()], [gone], new_end=summary(interrupted=True))
    assert (row.new, row.new_reason, row.proven) == ("down", "host-unreach", True)


def test_a_file_that_ends_early_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    old = keep(tmp_path / "old", host(), host("192.0.2.2"))
    for xml in (False, True):
        new = tmp_path / f"new{xml}"
        keep(new, host(), host("192.0.2.2"), xml=xml)
        text = new.read_text()
        new.write_text(text[: text.rindex("192.0.2.2")].rpartition("\n")[0] + "\n")
        rows = [row for row in compare(old, str(new)) if isinstance(row, Difference)]
        assert [row.proven for row in rows] in ([False], [])
        assert all("its file ends before its summary" in row.why for row in rows)


@pytest.mark.parametrize("xml", [False, True])
def test_an_old_file_that_ends_early_is_named_in_the_end(tmp_path: Path, xml: bool) -> None:
    new = keep(tmp_path / "new", host(), host("192.0.2.2"))
    text = Path(keep(tmp_path / "old", host(), host("192.0.2.2"), xml=xml)).read_text()
    within = text.index("192.0.2.2")
    for end in (within, text.rindex("\n", 0, within) + 1):
        (tmp_path / "old").write_text(text[:end])
        missing, compared = compare(str(tmp_path / "old"), new)
        assert isinstance(missing, Difference)
        assert (missing.host, missing.proven) == ("192.0.2.2", False)
        assert compared.as_dict()["old_not_complete"] == "its file ends before its summary"
    *_, compared = compare(new, new)
    assert "old_not_complete" not in compared.as_dict()


@pytest.mark.needs("nmap")
def test_our_rows_are_compared_with_nmaps_xml(tmp_path: Path) -> None:
    import socket

    with socket.socket() as listener, socket.socket() as taken:
        for sock in (listener, taken):
            sock.bind(("127.0.0.1", 0))
        listener.listen()
        ports = tuple(sock.getsockname()[1] for sock in (listener, taken))
        asked = ",".join(map(str, ports))
        command = ["nmap", "-sT", "-oX", str(tmp_path / "old"), "-p", asked, "127.0.0.1"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    new = keep(tmp_path / "new", host("127.0.0.1", open_ports=ports, closed=()))
    (row, _) = compare(str(tmp_path / "old"), new)
    assert isinstance(row, Difference)
    assert short(row) == (str(ports[1]), "closed", "open", True)
    assert (row.old_reason, row.new_reason) == ("conn-refused", "syn-ack")


def test_nmaps_xml_without_numbers_of_counted_ports_is_understood(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("""<?xml version="1.0"?>
<!DOCTYPE nmaprun PUBLIC "-//IDN nmap.org//DTD Nmap XML 1.04//EN" "x">
<nmaprun scanner="nmap"><scaninfo type="syn" protocol="tcp" numservices="4" services="20-23"/>
<hosthint><status state="up"/><address addr="192.0.2.9" addrtype="ipv4"/></hosthint>
<host><status state="up" reason="reset"/><address addr="192.0.2.1" addrtype="ipv4"/>
<ports><extraports state="closed" count="3"><extrareasons reason="resets" count="3"/></extraports>
<port protocol="tcp" portid="22"><state state="open" reason="syn-ack" reason_ttl="64"/></port>
</ports></host><runstats><finished time="1"/><hosts up="1" down="0" total="1"/></runstats></nmaprun>
""")
    old = read_kept(str(tmp_path / "old"))
    assert list(old.hosts) == ["192.0.2.1"]
    found = old.hosts["192.0.2.1"]
    assert found.port("tcp", 22) == ("open", "syn-ack", 0, "", None)
    assert found.port("tcp", 23) == ("closed", "reset", 0, "", None)
    assert found.port("tcp", 24) is None
    assert old.summary.complete


# Files that nobody should trust

_BOMB = """<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><nmaprun args="&b;"/>"""
_OUTSIDE = """<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<nmaprun>&a;</nmaprun>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_BOMB, "declares entities"),
        (_OUTSIDE, "declares entities"),
        ("<nmaprun>" * 40, "nested too deep"),
        ("<html/>", "not of 'nmaprun'"),
        ("<?xml version='1.0' encoding='utf-7'?><html/>", "not of 'nmaprun'"),
        ("<nmaprun><host></nmaprun>", "mismatched tag"),
        ("<nmaprun args='" + "a" * (5 << 20), "too long"),
        ("<nmaprun><!--" + "a" * (5 << 20), "too long"),
        ("<", "unclosed token"),
        ("<!-- -->", "no element found"),
        (
            (
                "<nmaprun><host><status state='up'/><ports><port protocol='tcp' portid='70000'>"
                "<state state='open'/></port></ports></host></nmaprun>"
            ),
            "there is no port 70000",
        ),
        ("<nmaprun><host><address/></host></nmaprun>", "the attribute 'addr' is missing"),
        ("plain text", "neither rows of JSON nor nmap's XML"),
        ('{"kind": "port"}\n', "'host' is missing"),
        ('{"kind": "host", "host": "a", "state": "x", "reason": ""}\n', "no state of a host"),
        (
            '{"kind": "port", "host": "a", "port": 99999, "protocol": "tcp"}\n',
            "port is outside",
        ),
        (
            f'{{"kind": "summary", "complete": false, "expected_misses": {10**400}}}\n',
            "expected_misses is outside",
        ),
        (
            f'{{"kind": "host", "host": "a", "state": "up", "reason": "", "loss": {10**400}}}\n',
            "loss is outside",
        ),
        ('{"kind": "resume", "version": 1}\n', "0: this is a file for --resume"),
        ('{"name": "else"}\n', "this is no row of a scan"),
        ("", "0: this is an empty file"),
        ('{"kind": "unproven"}\n{"kind": "port"}', "21: 'host' is missing"),
        ('{"kind": "unproven"}\n{"kind": "po\n', "21: Invalid control"),
        ("{" * 100_000, "Expecting property name"),
        ('{"kind":' + "[" * 100_000, "recursion"),
        ('{"a": "' + "x" * (9 << 20), "too long"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a"
    path.write_text(text)
    with pytest.raises(DecodeError) as caught:
        read_kept(str(path))
    assert message in str(caught.value)


@hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=strategies.data())
def test_changed_octets_raise_nothing_but_decode_errors(
    tmp_path: Path, data: strategies.DataObject
) -> None:
    xml = data.draw(strategies.booleans())
    good = tmp_path / f"good{xml}"
    if not good.exists():
        keep(good, host(closed=tuple(range(1000, 1100))), service("http", "1"), xml=xml)
    octets = bytearray(good.read_bytes())
    for _ in range(data.draw(strategies.integers(1, 4))):
        at = data.draw(strategies.integers(0, len(octets) - 1))
        octets[at] = data.draw(strategies.integers(0, 255))
    path = tmp_path / "a"
    path.write_bytes(octets)
    with contextlib.suppress(DecodeError):
        list(compare(str(good), str(path)))


def test_ranges_know_their_ports() -> None:
    some = Ranges("1,3-5,9")
    assert list(some) == [1, 3, 4, 5, 9]
    assert len(some) == 5
    assert [port in some for port in (0, 1, 2, 3, 5, 6, 9, 10)] == [
        False, True, False, True, True, False, True, False,
    ]  # fmt: skip
    for wrong in ("5-1", "1,1", "70000", "a", "1,,2", "-1"):
        with pytest.raises(ValueError, match=r"."):
            Ranges(wrong)


def test_rows_of_a_comparison_go_into_json() -> None:
    row = Difference("a", "port", "open", "closed", proven=True, why="w", ports="1-3")
    assert json.loads(json.dumps(row.as_dict()))["ports"] == "1-3"
