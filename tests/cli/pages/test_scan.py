"""Pages of a scan: what is shown of hosts, at any width, and in which words."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sockwright.cli.pages._scan_words import certainty, evidence, interval, latency, percent
from sockwright.cli.pages.scan import render
from sockwright.cli.screen import Screen
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.reports.diff import Compared
from sockwright.scan.results import Hop, HostResult, PortResult, Service, Summary
from sockwright.tools._scan_flags import read_words
from sockwright.tools._scan_rows import Begun, Found, Status, View

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.scan.results import PortState

_OPEN = number_of("syn-ack", "open")
_SUMMARY = Summary(
    hosts=2,
    up=1,
    open_ports=3,
    methods=("syn",),
    why_methods="SYN scan",
    probes=1200,
    answers=1000,
    loss=0.0,
    expected_misses=0.0,
    complete=True,
    interrupted=False,
    seed=1,
    started_ns=0,
    ended_ns=1_234_000_000,
)


def a_host() -> HostResult:
    """A host with three open ports, one behind a firewall, and 996 closed ones."""
    table = PortTable("10.0.0.2", "tcp", range(1, 1001))
    for at in range(1000):
        table.set(at, number_of("reset", "closed"), 1, 300, 64)
    for port in (22, 80, 443):
        table.set(port - 1, _OPEN, 1, 312, 64)
    table.set(109, number_of("admin-prohibited", "filtered"), 2, 500, 63, "10.0.0.254")
    return HostResult("10.0.0.2", "up", "arp-response", ("b.example",), 64, 120_000, ports=(table,))


def shown(
    *rows: object, line: str = "x", width: int = 0, several: bool = False, colour: bool = False
) -> str:
    """Return what is shown of rows; on a terminal of `width` columns, or in a pipe."""
    args = read_words(line.split())
    assert args is not None
    stream = io.StringIO()
    screen = Screen(stream)
    if width:
        screen.terminal, screen.width = True, width
    screen.colour = colour
    show = "open" if args.open else "all" if args.all else "few"
    view = View(args, show, several=several)  # type: ignore[arg-type]
    render(iter([view, *rows]), screen)
    return stream.getvalue()


def test_a_host_looks_as_nmap_shows_it() -> None:
    text = shown(Begun("Scanning 10.0.0.2. SYN scan: because"), a_host(), _SUMMARY)
    assert text == (
        "Scanning 10.0.0.2. SYN scan: because\n"
        "\n"
        "Scan report for b.example (10.0.0.2)\n"
        "Host is up (arp-response after 0.12 ms).\n"
        "Not shown: 996 closed tcp ports (reset)\n"
        "PORT    STATE    SERVICE\n"
        "22/tcp  open     ssh\n"
        "80/tcp  open     http\n"
        "110/tcp filtered pop3\n"
        "443/tcp open     https\n"
        "\n"
        "2 addresses, 1 host up, 3 open ports, in 1.23 s.\n"
        "1200 probes, 1000 answers, no loss seen: complete.\n"
    )


def test_reasons_name_the_packet_its_sender_its_ttl_its_time_and_the_try() -> None:
    text = shown(a_host(), line="--reason x")
    assert "22/tcp  open     ssh     syn-ack ttl 64, 0.31 ms\n" in text
    assert "filtered pop3    admin-prohibited from 10.0.0.254 ttl 63, 0.50 ms, try 2\n" in text
    assert shown(a_host(), line="-vv x").count("syn-ack ttl 64") == 3


def test_only_open_ports_or_all_of_them_on_request() -> None:
    some = shown(a_host(), line="--open x")
    assert "filtered" not in some
    assert "Not shown" not in some
    everything = shown(a_host(), line="--all x")
    assert everything.count("/tcp") == 1000
    closed = replace(a_host(), ports=(PortTable("10.0.0.2", "tcp", (1, 2)),))
    assert "10.0.0.2" not in shown(closed, line="--open x")


def test_a_host_whose_ports_are_all_alike_says_so() -> None:
    silent = PortTable("10.0.0.2", "tcp", range(1, 101))
    text = shown(replace(a_host(), ports=(silent,)))
    assert "All 100 ports that were asked are filtered." in text
    assert "Not shown: 100 filtered tcp ports (no-response)" in text
    for at in range(50):
        silent.set(at, number_of("reset", "closed"), 1)
    text = shown(replace(a_host(), ports=(silent,)))
    assert "No open port was found among the 100 that were asked." in text


def test_a_comparison_says_what_is_unproven_and_that_the_old_file_ends_early() -> None:
    assert shown(Compared(1, 2, 0, 0), line="--diff a x") == "\nCompared with a: 2 differences.\n"
    cut = Compared(1, 0, 1, 0, old_not_complete="its file ends before its summary")
    assert shown(cut, line="--diff a x") == (
        "\nCompared with a, which is not complete (its file ends before its summary): "
        "0 differences, 1 unproven.\n"
    )


def test_ports_that_were_not_asked_are_not_called_filtered() -> None:
    table = PortTable("10.0.0.2", "tcp", range(1, 101), silent=number_of("not-asked", "filtered"))
    text = shown(replace(a_host(), ports=(table,)))
    assert "Not shown: 100 tcp ports not asked" in text
    assert "that were asked" not in text
    assert "filtered" not in text
    for at in range(40):
        table.set(at, number_of("reset", "closed"), 1)
    table.set(40, number_of("admin-prohibited", "filtered"), 1)
    text = shown(replace(a_host(), ports=(table,)))
    assert "Not shown: 40 closed tcp ports (reset), 59 tcp ports not asked" in text
    assert "41/tcp filtered" in text
    table.set(40, number_of("reset", "closed"), 1)
    assert "All 41 ports that were asked are closed." in shown(replace(a_host(), ports=(table,)))


def test_unproven_ports_come_with_the_flag_that_gives_them_time() -> None:
    table = PortTable("10.0.0.2", "udp", range(1, 101))
    assert "--patience" not in shown(replace(a_host(), ports=(table,)))
    table.limit("icmp")
    text = shown(replace(a_host(), ports=(table,)))
    assert "Not shown: 100 open|filtered udp ports (unproven)" in text
    assert "--patience 5m gives the unproven ports more time" in text


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
@pytest.mark.parametrize("flags", ["-sV --reason --explain", "-sV", "--reason", ""])
def test_no_line_is_wider_than_the_terminal(width: int, flags: str) -> None:
    host = a_host()
    host.services = {
        ("tcp", 22): Service("ssh", 0.95, "probed", "OpenSSH", "9.2p1", "protocol 2.0; Debian"),
        ("tcp", 443): Service(
            "http", 0.9, "probed", "nginx", "1.22.1", tunnel="tls",
            details={"tls.subject": "CN=www.example.org", "http.title": "Welcome " * 20},
        ),
    }  # fmt: skip
    host.remarks = ("the host limits its RSTs to 100 a second, so closed ports take their time",)
    host.loss, host.expected_misses, host.answers = 0.19, 0.004, 1000
    host.hops = (Hop(1, "10.0.0.254", "", 120_000), Hop(2, ""), Hop(3, "10.0.0.2"))
    text = shown(host, _SUMMARY, line=f"{flags} x", width=width, several=True)
    longest = max(text.splitlines(), key=len)
    if width >= 40:
        assert len(longest) <= width, longest
    piped = shown(host, line=f"{flags} x")
    assert re.search(r"^22/tcp +open +ssh .*", piped, re.MULTILINE) or not flags


def test_services_stand_beside_their_ports_and_details_below() -> None:
    host = a_host()
    host.services = {
        ("tcp", 22): Service("ssh", 0.95, "probed", "OpenSSH", "9.2p1"),
        ("tcp", 80): Service("http", 0.4, "probed", banner="who \x1b]0;are\x07 you"),
        ("tcp", 443): Service(
            "http", 0.9, "probed", "nginx", tunnel="tls", details={"tls.alpn": "h2"}
        ),
    }
    text = shown(host, line="-sV x")
    assert "22/tcp  open     ssh      OpenSSH 9.2p1\n" in text
    assert "443/tcp open     ssl/http nginx\n  tls.alpn: h2\n" in text
    assert "  banner: who \\x1b]0;are\\x07 you\n" in text
    assert "\x1b" not in text
    host.services = {}
    assert "443/tcp open     https?\n" in shown(host, line="-sV x"), "only its number says so"


def test_explanations_that_are_the_same_are_given_once() -> None:
    text = shown(a_host(), line="--explain x")
    assert text.count("A SYN was answered by SYN and ACK") == 1
    assert text.count("  As 22/tcp, after 0.31 ms.\n") == 2


def test_loss_of_a_host_is_told_where_there_are_several() -> None:
    host = replace(a_host(), loss=0.1, expected_misses=2.5, complete=False, answers=1000)
    text = shown(host, several=True)
    assert (
        "About 10% of the tries lost; NOT complete: about 3 open ports may have been missed."
    ) in text
    assert "lost" not in shown(host), "the summary tells it"


def test_the_way_the_system_and_remarks_stand_below() -> None:
    host = a_host()
    host.hops = (Hop(1, "10.0.0.254", "gw", 120_000), Hop(2, ""))
    host.remarks = ("everything answers alike: a SYN proxy",)
    host.mac = "02:00:00:00:00:02"
    text = shown(host)
    assert "MAC address: 02:00:00:00:00:02\n" in text
    assert "Note: everything answers alike: a SYN proxy\n" in text
    assert "HOP  RTT      ADDRESS\n  1  0.12 ms  gw (10.0.0.254)\n  2  -        no answer\n" in text


def test_addresses_of_a_name_that_are_not_scanned_are_named() -> None:
    args = read_words(["x"])
    assert args is not None
    stream = io.StringIO()
    view = View(args, "few", several=False, others={"b.example": ("10.0.0.3", "fd00::2")})
    render(iter([view, a_host()]), Screen(stream))
    assert ("Other addresses of b.example, not scanned: 10.0.0.3, fd00::2\n") in stream.getvalue()


def test_states_have_colours_and_a_pipe_has_none() -> None:
    text = shown(a_host(), colour=True, width=80)
    assert "\x1b[32mopen\x1b[0m" in text
    assert "\x1b[33mfiltered\x1b[0m" in text
    assert "\x1b" not in shown(a_host())


def test_hosts_without_ports_take_a_line_each() -> None:
    up = HostResult("10.0.0.7", "up", "echo-reply", ("c.example",), rtt_ns=250_000)
    down = HostResult("10.0.0.8", "down", "no-response")
    text = shown(up, down, line="-sn x", several=True)
    assert text == "10.0.0.7         up    echo-reply, 0.25 ms, c.example\n"
    assert "10.0.0.8         down  no-response\n" in shown(down, line="-sn -v x", several=True)
    listed = HostResult("10.0.0.9", "unknown", "", ("d.example",))
    assert shown(listed, line="-sL x") == "10.0.0.9         d.example\n"
    near = replace(up, mac="02:00:00:00:00:07")
    assert shown(near, line="-sn x", width=40) == (
        "10.0.0.7         up\n  echo-reply, 0.25 ms,\n  02:00:00:00:00:07, c.example\n"
    )


def test_a_host_that_is_down_is_named_where_it_is_the_only_one() -> None:
    down = HostResult("10.0.0.8", "down", "no-response")
    assert shown(down, several=True) == ""
    assert shown(down) == "Host 10.0.0.8 seems down (no-response).\n"
    nobody = replace(_SUMMARY, up=0, open_ports=0, hosts=1)
    assert "-Pn" in shown(down, nobody)
    assert "-Pn" not in shown(down, nobody, line="-Pn x")


def test_open_ports_are_announced_and_kept_out_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "page"
    port = a_host().ports[0][22]
    text = shown(Found(port), a_host(), _SUMMARY, line=f"-v -oN {path} x")
    assert text.startswith("Discovered open port 22/tcp on 10.0.0.2\n")
    assert path.read_text() == text.partition("\n")[2]
    with pytest.raises(FileExistsError):
        shown(a_host(), line=f"-oN {path} x")
    shown(a_host(), line=f"-oN {path} --force x")
    assert path.read_text() == shown(a_host())


# -- words --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "missed", "complete", "words"),
    [
        (None, 0.0, True, "nothing is known of loss: complete"),
        (0.0, 0.0, True, "no loss seen: complete"),
        (0.0005, 0.0, True, "no loss seen: complete"),
        (
            0.19,
            0.004,
            True,
            "about 19% of the tries lost and asked again; chance of a missed open port 0.4%",
        ),
        (0.19, 0.00001, True, "about 19% of the tries lost and asked again: complete"),
        (0.5, 12.3, False, "about 50% of the tries lost; NOT complete: about 12 open ports may"),
        (0.5, 1.2, False, "about 50% of the tries lost; NOT complete: about 1 open port may"),
        (0.5, 152.0, False, "about 50% of the tries lost; NOT complete: about 150 open ports may"),
        (0.0, 0.0, False, "no loss seen; NOT complete"),
    ],
)
def test_certainty_is_told_in_plain_words(
    loss: float | None,
    missed: float,
    complete: bool,
    words: str,
) -> None:
    found = replace(_SUMMARY, loss=loss, expected_misses=missed, complete=complete)
    assert certainty(found).startswith(words)
    if loss == 0:
        assert certainty(replace(found, answers=1200)).startswith("nothing lost")


def a_tarpit() -> HostResult:
    """A host with 60 open ports, of which 58 say nothing and one has a version."""
    table = PortTable("10.0.0.2", "tcp", [*range(1001, 1061)])
    for at in range(60):
        table.set(at, _OPEN, 1, 312, 64)
    host = HostResult("10.0.0.2", "up", "arp-response", ports=(table,))
    for number in range(1001, 1061):
        host.services["tcp", number] = Service("tcpwrapped", 0.5, "probed")
    host.services["tcp", 1030] = Service("ssh", 1.0, "probed", "OpenSSH", "9.2")
    host.services["tcp", 1050] = Service("tcpwrapped", 0.5, "probed", banner="not like the others")
    return host


def test_many_open_ports_that_have_the_same_to_say_are_one_line() -> None:
    text = shown(a_tarpit(), line="-sV x")
    assert text.endswith(
        "PORT     STATE SERVICE    VERSION\n"
        "1030/tcp open  ssh        OpenSSH 9.2\n"
        "1050/tcp open  tcpwrapped\n"
        "  banner: not like the others\n"
        "58 open tcp ports alike, tcpwrapped: 1001-1029, 1031-1049, 1051-1060"
        " (--all has a row for each)\n"
    )


@pytest.mark.parametrize("flag", ["--all", "--reason", "--explain", "-v"])
def test_who_asks_for_more_gets_a_row_for_each_port(flag: str) -> None:
    text = shown(a_tarpit(), line=f"-sV {flag} x")
    assert text.count("/tcp ") >= 60
    assert "alike" not in text


def test_few_open_ports_have_a_row_each_whatever_they_say() -> None:
    host = a_tarpit()
    table = PortTable("10.0.0.2", "tcp", [*range(1001, 1026)])
    for at in range(25):
        table.set(at, _OPEN, 1, 312, 64)
    host.ports = (table,)
    assert shown(host, line="-sV x").count("tcpwrapped") == 25


def test_hosts_may_be_missed_where_hosts_are_looked_for() -> None:
    found = replace(_SUMMARY, loss=0.19, expected_misses=0.004)
    assert "chance of a missed host 0.4%" in shown(found, line="-sn x")


def test_a_scan_that_nobody_answered_is_not_called_complete() -> None:
    silent = replace(
        _SUMMARY, loss=None, probes=4, answers=0, up=0, open_ports=0, hosts=1, complete=None
    )
    text = shown(silent)
    assert "4 probes, 0 answers, nothing is known of loss, since nobody answered.\n" in text
    assert "Nobody answered: the host seems down." in text


def test_numbers_have_as_many_digits_as_they_are_worth() -> None:
    assert [percent(part) for part in (0, 0.00001, 0.004, 0.1, 0.123)] == [
        "0.0%", "under 0.1%", "0.4%", "10%", "12%",
    ]  # fmt: skip
    assert [latency(time) for time in (1000, 120_000, 12_345_678, 123_456_789)] == [
        "under 0.01 ms", "0.12 ms", "12.3 ms", "123 ms",
    ]  # fmt: skip
    assert [interval(time) for time in (10**7, 10**11, 10**13)] == ["0.01 s", "1 min 40 s", "2.8 h"]


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        ("open", {"reason": "conn-accept", "tries": 1, "attempt": 1}, "conn-accept"),
        ("filtered", {"reason": "no-response", "tries": 3}, "no-response, 3 tries"),
        (
            "open|filtered",
            {"reason": "unproven", "tries": 2, "limited": "icmp"},
            "unproven, 2 tries, the host limits its ICMP errors",
        ),
    ],
)
def test_evidence_is_the_packet_or_its_lack(
    state: PortState, fields: dict[str, object], words: str
) -> None:
    port = PortResult("10.0.0.2", 53, "udp", state, **fields)  # type: ignore[arg-type]
    assert evidence(port) == words


def test_the_line_of_progress_has_the_most_telling_first() -> None:
    from sockwright.scan.results import Progress

    progress = Progress("SYN scan", 420, 1000, 500, 998.7, 0.03, 34.6, 12, "10.0.0.2")
    assert Status(progress).pieces == [
        "SYN scan 42 %", "12 open", "35 s left", "999 packets/s", "3 % lost", "10.0.0.2",
    ]  # fmt: skip
    late = Progress("SYN scan", 1, 1000, 500, 1.0, None, 7000.0)
    assert Status(late).pieces == ["SYN scan 0 %", "2 h left", "1 packets/s"]
