"""sw scan as people run it: what it prints, asks, refuses and keeps; in a network of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from tests.cli.terminal import Terminal
from tests.scan.topology import TARGET, TARGET6, Network, listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.lab import Host

SW = str(Path(sys.executable).with_name("sw"))
PATIENCE_S = 60
OPEN = (22, 80, 443, 8080)

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A scanner, a router, a target that listens on `OPEN`."""
    with Network() as made:
        made.start(made.target, listen, OPEN)
        yield made


@pytest.fixture
def scanner(network: Network) -> Host:
    """The host that scans."""
    return network.scanner


def scan(
    host: Host, *words: str, text: str = "", folder: Path | None = None, privileged: bool = True
) -> Done:
    """Run `sw scan` on a host, `text` on its standard input."""
    return host.run(
        [SW, "scan", *words],
        input=text or None,
        timeout=PATIENCE_S,
        cwd=folder,
        privileged=privileged,
    )


def refused(*words: str, text: str = "") -> str:
    """Run a line that sends nothing; return its one line on standard error."""
    done = subprocess.run(
        [SW, "scan", *words],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return f"{done.returncode} {done.stderr.removeprefix('sw scan: ').rstrip()}"


def rows(done: Done) -> list[dict[str, Any]]:
    """Return the rows of --json."""
    return [json.loads(line) for line in done.stdout.splitlines()]


# -- what is printed ----------------------------------------------------------------------------


@pytest.mark.needs("namespaces")
def test_a_scan_without_flags_finds_what_is_open_and_says_how(scanner: Host) -> None:
    done = scan(scanner, TARGET)
    assert (done.returncode, done.stderr) == (0, "")
    first, *_ = done.stdout.splitlines()
    assert first.startswith(f"Scanning {TARGET}, 1000 TCP ports. ")
    assert "SYN" in first
    assert "-T4" not in first  # it takes a second
    assert f"Scan report for {TARGET}\n" in done.stdout
    assert "Not shown: 996 closed tcp ports (reset)\n" in done.stdout
    for port in OPEN:
        assert f"\n{port}/tcp" in done.stdout
    assert "1 address, 1 host up, 4 open ports, in " in done.stdout
    assert done.stdout.endswith("complete.\n")


@pytest.mark.needs("namespaces")
def test_without_privilege_it_connects_and_says_so(scanner: Host) -> None:
    done = scan(scanner, "-F", TARGET, privileged=False)
    assert done.returncode == 0, done.stderr
    assert "onnect" in done.stdout.splitlines()[0]
    assert "(conn-refused)" in done.stdout
    assert "22/tcp" in done.stdout
    needs = scan(scanner, "-sS", "-F", TARGET, privileged=False)
    assert needs.returncode == 5
    assert needs.stderr == (
        "sw scan: -sS takes raw sockets, and this process may not open them; -sT connects without; "
        "root may, or who has CAP_NET_RAW\n"
    )


@pytest.mark.needs("namespaces")
def test_a_system_that_cannot_be_asked_for_is_said_before_anything_is(scanner: Host) -> None:
    done = scan(scanner, "-A", "-O", "-Pn", "-p22", TARGET, privileged=False)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        "sw scan: -O takes raw sockets, and this process may not open them; root may, or who has "
        "CAP_NET_RAW; the rest goes without -O\n"
    )


@pytest.mark.needs("namespaces")
def test_the_rest_of_what_a_stands_for_goes_on_without_the_system(scanner: Host) -> None:
    done = scan(scanner, "-A", "-Pn", "-p23", TARGET, privileged=False)
    assert done.returncode == 0
    assert "23/tcp closed" in done.stdout
    assert done.stderr == (
        "sw scan: -A goes on without -O, which takes raw sockets, and this process may not open "
        "them; root may, or who has CAP_NET_RAW\n"
    )


@pytest.mark.needs("root")
def test_a_broken_file_of_signatures_is_said_before_ports_are_asked(tmp_path: Path) -> None:
    folder = tmp_path / "sockwright" / "signatures"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text("[[signature]]\nname = 5\n")
    done = subprocess.run(
        [SW, "scan", "-O", "-p9", "127.0.0.1"],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (6, "")
    assert str(folder / "mine.toml") in done.stderr


@pytest.mark.needs("namespaces")
def test_addresses_of_ipv6_are_scanned_as_well(scanner: Host) -> None:
    done = scan(scanner, "-p", "22,23", "--reason", TARGET6)
    assert f"Scan report for {TARGET6}\n" in done.stdout
    assert "22/tcp open   ssh     syn-ack ttl 63" in done.stdout
    assert "23/tcp closed telnet  reset ttl 63" in done.stdout


@pytest.mark.needs("namespaces")
def test_tcp_and_udp_are_scanned_together(scanner: Host) -> None:
    done = scan(scanner, "-sSU", "-p", "22,53", TARGET)
    assert "2 TCP ports and 2 UDP ports. A SYN scan" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[0].endswith("; and a UDP scan")
    for line in ("22/tcp open   ssh", "53/tcp closed domain", "22/udp closed"):
        assert line in done.stdout
    named = scan(scanner, "-p", "22,U:53", TARGET)
    assert "1 TCP port and 1 UDP port" in named.stdout
    assert "53/udp closed domain" in named.stdout


@pytest.mark.needs("namespaces")
def test_rows_for_programs_hold_ports_then_the_host_then_the_summary(scanner: Host) -> None:
    done = scan(scanner, "--json", "-p", "20-30,80", "--explain", TARGET)
    *ports, host, summary = rows(done)
    assert sorted(row["port"] for row in ports) == [*range(20, 31), 80]
    states = {row["port"]: row["state"] for row in ports}
    assert (states[22], states[23], states[80]) == ("open", "closed", "open")
    assert ports[0]["port"] in OPEN, "what is open comes first"
    for row in ports:
        assert row["kind"] == "port"
        assert row["tries"] >= 1
        assert row["rtt_ns"] > 0
        assert row["ttl"] == 63
        assert row["explanation"].startswith(f"Port {row['port']}/tcp of {TARGET} is")
    assert ports[0]["service"]["name"] in {"ssh", "http"}
    assert (host["kind"], host["host"], host["state"]) == ("host", TARGET, "up")
    assert (summary["kind"], summary["open_ports"], summary["complete"]) == ("summary", 2, True)
    assert "SYN" in done.stderr, "the method is told beside the rows"


@pytest.mark.needs("namespaces")
def test_ports_that_are_not_shown_are_in_the_row_of_the_host(scanner: Host) -> None:
    *ports, host, _ = rows(scan(scanner, "--json", "-T5", "-p", "1-1000", TARGET))
    assert sorted(row["port"] for row in ports) == [22, 80, 443]
    (hidden,) = host["not_shown"]
    assert (hidden["state"], hidden["reason"], hidden["count"]) == ("closed", "reset", 997)
    every = rows(scan(scanner, "--json", "--all", "-T5", "-p", "1-1000", TARGET))
    assert len(every) == 1002
    only = rows(scan(scanner, "--json", "--open", "-p", "20-30", TARGET))
    assert [row["port"] for row in only[:-2]] == [22]


@pytest.mark.needs("namespaces")
def test_a_host_that_is_not_there_is_down_and_the_status_is_0(
    scanner: Host, tmp_path: Path
) -> None:
    done = scan(scanner, "-T5", "-p", "22", "10.61.0.77")
    assert done.returncode == 0
    assert "Host 10.61.0.77 seems down" in done.stdout
    assert "1 address, 0 hosts up, 0 open ports" in done.stdout
    assert "-Pn" in done.stdout
    words = ("-Pn", "-T5", "-p", "22", "--host-timeout", "300ms", "10.61.0.77")
    forced = scan(scanner, *words, folder=tmp_path)
    assert forced.returncode == 0
    assert "Scan report for 10.61.0.77" in forced.stdout
    assert "Not shown: 1 tcp port not asked" in forced.stdout


@pytest.mark.needs("namespaces")
def test_discovery_alone_lists_hosts(scanner: Host) -> None:
    done = scan(scanner, "-sn", "10.61.0.0/29")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "ARP, ND, ICMP and TCP" in lines[0]
    up = {words[0]: words[2] for words in map(str.split, lines) if words[1:2] == ["up"]}
    assert up == {"10.61.0.1": "arp-response,", "10.61.0.2": "localhost-response"}
    assert re.search(r"^\d addresses, 2 hosts up, in ", done.stdout, re.MULTILINE)
    bare = scan(scanner, "-sn", "10.61.0.0/29", privileged=False)
    assert "may not open raw sockets" in bare.stdout.splitlines()[0]
    assert "2 hosts up" in bare.stdout


def greet(port: int, ready: int) -> None:
    """Greet every client as an SSH server does, for ever."""
    with socket.create_server(("", port)) as listener:
        os.write(ready, b"r")
        while True:
            with listener.accept()[0] as client, suppress(OSError):
                client.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
                client.recv(1000)


@pytest.mark.needs("namespaces")
def test_services_are_asked_who_they_are_and_each_has_one_row(network: Network) -> None:
    network.start(network.target, greet, 42222)
    done = scan(network.scanner, "-sV", "-p", "42222,42223", TARGET)
    assert "PORT      STATE  SERVICE" in done.stdout
    assert re.search(r"^42222/tcp open   ssh +OpenSSH 9\.2p1", done.stdout, re.MULTILINE)
    port, *_ = found = rows(scan(network.scanner, "-sV", "--json", "-p", "42222,42223", TARGET))
    assert [row["kind"] for row in found] == ["port", "port", "host", "summary"]
    assert (port["port"], port["service"]["product"]) == (42222, "OpenSSH")
    assert port["service"]["confidence"] > 0.8


# -- whom ---------------------------------------------------------------------------------------


@pytest.mark.needs("namespaces")
def test_targets_come_from_files_and_from_standard_input(scanner: Host, tmp_path: Path) -> None:
    (tmp_path / "some").write_text(f"{TARGET}  # the one\n10.61.0.1\n")
    piped = scan(scanner, "-sL", text="10.0.0.1 10.0.0.2\n10.0.0.3\n")
    assert piped.stdout.split()[:3] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    listed = scan(scanner, "-sL", "-iL", "some", "10.0.0.9", folder=tmp_path)
    assert set(listed.stdout.split()[:3]) == {"10.0.0.9", TARGET, "10.61.0.1"}
    dash = scan(scanner, "-sL", "-", "--exclude", "10.0.0.2", text="10.0.0.1-3")
    assert dash.stdout.split()[:2] == ["10.0.0.1", "10.0.0.3"]
    (tmp_path / "not").write_text("10.0.0.1\n")
    left = scan(scanner, "-sL", "10.0.0.1-2", "--exclude-file", "not", folder=tmp_path)
    assert left.stdout.split()[0] == "10.0.0.2"


@pytest.mark.parametrize(
    ("words", "status", "part"),
    [
        ([], 2, "TARGET is missing"),
        ([""], 2, "TARGET is empty"),
        (["fe80::1%nope"], 2, "fe80::1%nope names an interface that is not there: 'nope'"),
        (["no-such-name.invalid"], 1, "no-such-name.invalid does not resolve"),
        (["224.0.0.1"], 2, "224.0.0.1"),
        (["255.255.255.255"], 2, "255.255.255.255"),
        (["10.0.0.1", "--exclude", "10.0.0.0/8"], 2, "--exclude takes all of them out"),
        (["10.0.0.0/8"], 2, "these are 16777216 addresses; --yes"),
        (["10.0.0.300"], 2, "10.0.0.300"),
        (["127.0.0.1", "22"], 2, "'22' is a port, not a target: sw scan -p 22 HOST"),
        (["10.0.0.1:80"], 2, "ports are said by -p: sw scan -p 80 10.0.0.1"),
        (["[::1]:80"], 2, "sw scan -p 80 [::1]"),
        (["http://x.example/a"], 2, "is a URL; a target is its host: sw scan x.example"),
        (["-D", "RND:10", "10.0.0.1"], 2, "no decoys"),
        (["-iL", "/nonexistent/file"], 1, "/nonexistent/file: No such file"),
        (["--resume", "/nonexistent/file"], 1, "/nonexistent/file: No such file"),
        (["--resume", "x", "10.0.0.1"], 2, "--resume knows its targets"),
        (["--resume", "x", "-sV"], 2, "leave -sV out"),
        (["--resume", "/nonexistent/file", "--rate", "5"], 1, "No such file"),
        (["--diff", "/nonexistent/file", "127.0.0.1"], 1, "/nonexistent/file: No such file"),
        (["--diff", "/dev/null", "127.0.0.1"], 6, "an empty file, and no report of a scan"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_line(words: list[str], status: int, part: str) -> None:
    told = refused(*words)
    assert told.startswith(f"{status} ")
    assert part in told


@pytest.mark.needs("namespaces")
def test_what_is_left_out_is_told_and_the_rest_is_scanned(scanner: Host) -> None:
    long = f"{'x' * 70}.example"  # no server is asked for it (RFC 1035 section 2.3.4)
    done = scan(scanner, "-p", "22", TARGET, "224.0.0.1", long)
    assert done.returncode == 0
    assert "22/tcp open" in done.stdout
    assert "224.0.0.1" in done.stderr
    assert f"{long} does not resolve" in done.stderr


def test_more_hosts_than_4096_are_a_question() -> None:
    with Terminal([SW, "scan", "-sn", "10.0.0.0/19"]) as terminal:
        terminal.until(lambda shown: "These are 8192 addresses. Scan them? [y/N]" in shown.main)
        terminal.press("n\n")
        assert terminal.finish() == 1
        assert "nothing was sent" in terminal.main


# -- files --------------------------------------------------------------------------------------


@pytest.mark.needs("namespaces")
def test_reports_are_written_beside_what_is_shown(scanner: Host, tmp_path: Path) -> None:
    done = scan(scanner, "-F", "-oA", "kept", TARGET, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kept.nmap").read_text() == done.stdout
    xml = ET.parse(tmp_path / "kept.xml")
    states = {
        port.get("portid"): port.find("state").get("state")  # type: ignore[union-attr]
        for port in xml.iter("port")
    }
    assert states == {str(port): "open" for port in OPEN}
    assert "22/open/tcp//ssh" in (tmp_path / "kept.gnmap").read_text()
    last = json.loads((tmp_path / "kept.jsonl").read_text().splitlines()[-1])
    assert (last["kind"], last["open_ports"]) == ("summary", len(OPEN))


@pytest.mark.needs("namespaces")
def test_a_report_on_standard_output_is_alone_there(scanner: Host) -> None:
    done = scan(scanner, "-p", "22,23", "-oX", "-", TARGET, "224.0.0.1")
    assert done.returncode == 0
    ports = ET.fromstring(done.stdout).iter("port")
    assert [port.get("portid") for port in ports] == ["22", "23"]
    assert "multicast" in done.stderr
    lines = scan(scanner, "-p", "22,23", "-oG", "-", TARGET).stdout.splitlines()
    assert all(line.startswith(("#", "Host: ")) for line in lines)


@pytest.mark.parametrize("flag", ["-oX", "-oG", "-oJ"])
def test_a_reader_of_a_report_that_goes_ends_the_scan_without_a_word(flag: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [SW, "scan", "-sT", "-p", "9", flag, "-", "127.0.0.1"],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            timeout=PATIENCE_S,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("flag", ["-oX", "-oG", "-oJ", "-oN", "-w"])
def test_a_file_that_is_there_is_written_over_only_by_force(
    scanner: Host, tmp_path: Path, flag: str
) -> None:
    (tmp_path / "file").write_text("precious")
    done = scan(scanner, "-p", "22", flag, "file", TARGET, folder=tmp_path)
    assert done.returncode == 1
    assert (tmp_path / "file").read_text() == "precious"
    assert "file" in done.stderr
    forced = scan(scanner, "-p", "22", flag, "file", "--force", TARGET, folder=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert (tmp_path / "file").read_bytes()[:8] != b"precious"


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-sS", "-oA", "kept", "-w", "kept.pcapng"], "-sS takes raw sockets"),
        (["-sT", "-oA", "kept", "-w", "kept.pcapng"], "takes CAP_NET_RAW"),
    ],
)
def test_a_scan_that_cannot_begin_leaves_no_files(
    scanner: Host, tmp_path: Path, words: list[str], told: str
) -> None:
    done = scan(scanner, *words, TARGET, folder=tmp_path, privileged=False)
    assert done.returncode == 5, done.stderr
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("namespaces")
def test_every_file_is_the_users_alone(scanner: Host, tmp_path: Path) -> None:
    done = scan(scanner, "-p", "22", "-oA", "kept", "-w", "kept.pcapng", TARGET, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert len(modes) == 5
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.needs("namespaces")
def test_a_comparison_names_what_differs(scanner: Host, tmp_path: Path) -> None:
    scan(scanner, "-p", "20-25", "-oJ", "old", TARGET, folder=tmp_path)
    same = scan(scanner, "-p", "20-25", "--diff", "old", TARGET, folder=tmp_path)
    assert "Compared with old: 0 differences." in same.stdout
    text = (tmp_path / "old").read_text()
    changed = text.replace('"port": 23, "protocol": "tcp", "state": "closed"',
                           '"port": 23, "protocol": "tcp", "state": "open"')  # fmt: skip
    assert changed != text
    (tmp_path / "old").write_text(changed)
    done = scan(scanner, "-p", "20-25", "--diff", "old", TARGET, folder=tmp_path)
    assert f"differs   {TARGET} 23/tcp  open -> closed" in done.stdout
    assert "Compared with old: 1 difference." in done.stdout
    *_, difference, comparison, summary = rows(
        scan(scanner, "-p", "20-25", "--diff", "old", "--json", TARGET, folder=tmp_path)
    )
    assert (difference["kind"], difference["port"]) == ("difference", 23)
    assert comparison["differences"] == 1
    assert summary["kind"] == "summary"


# -- ending early -------------------------------------------------------------------------------


@pytest.mark.needs("namespaces")
def test_ctrl_c_shows_what_is_known_and_resume_goes_on_by_port(
    scanner: Host, tmp_path: Path
) -> None:
    words = [
        SW,
        "scan",
        "-p",
        "1-5000",
        "--rate",
        "3000",
        "--seed",
        "1",
        "-v",
        "-oX",
        "kept.xml",
        TARGET,
    ]
    with scanner.popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"Discovered open port" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.wait() == 130
    assert "tcp ports not asked" in out.decode()
    assert "NOT complete" in out.decode()
    assert b'exit="error"' in (tmp_path / "kept.xml").read_bytes()
    ET.parse(tmp_path / "kept.xml")
    assert "interrupted" in err.decode()
    (kept,) = tmp_path.glob("*.resume")
    assert f"sw scan --resume {kept.name}" in err.decode()
    assert kept.stat().st_mode & 0o777 == 0o600
    before = _probes(out.decode())
    done = scan(scanner, "--resume", kept.name, "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    *ports, host, summary = rows(done)
    assert sorted(row["port"] for row in ports) == [22, 80, 443]
    assert sum(part["count"] for part in host["not_shown"]) == 5000 - 3
    assert summary["complete"]
    assert summary["probes"] < 5000, "what was known was not asked again"
    assert before > 0


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_status_tells_which_signal_ended_it(
    scanner: Host, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    words = [SW, "scan", "-p", "1-5000", "--rate", "1000", "--seed", "9", "-v", TARGET]
    with scanner.popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_S)
    assert process.wait() == status
    (kept,) = tmp_path.glob("*.resume")
    head = json.loads(kept.read_text().splitlines()[0])
    assert head["settings"]["seed"] == 9
    assert head["started_ns"] > 0


@pytest.mark.needs("namespaces")
def test_a_scan_that_was_stopped_keeps_its_seed_and_hosts_nobody_asked_out_of_nmaps_formats(
    scanner: Host, tmp_path: Path
) -> None:
    words = ["10.62.0.0/24", "-p", "1-100", "--rate", "20", "--time-limit", "300ms"]
    done = scan(scanner, *words, "-oA", "kept", folder=tmp_path)
    assert done.returncode == 3, done.stderr
    (kept,) = tmp_path.glob("*.resume")
    told = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    head = json.loads(kept.read_text().splitlines()[0])
    assert head["settings"]["seed"] == told[-1]["seed"]
    assert sum(row.get("reason") == "not-asked" for row in told) > 200
    assert len(ET.parse(tmp_path / "kept.xml").findall("host")) < 20
    assert (tmp_path / "kept.gnmap").read_text().count("Host: ") < 40


@pytest.mark.needs("namespaces")
@pytest.mark.parametrize("flag", ["-oX", "-oG", "-oJ", "-w"])
def test_a_report_that_could_not_be_written_makes_it_status_1(
    scanner: Host, tmp_path: Path, flag: str
) -> None:
    words = f"ulimit -f 0; exec {SW} scan -p 1-100 --all {flag} report {TARGET}"
    done = scanner.run(["sh", "-c", words], timeout=PATIENCE_S, cwd=tmp_path)
    assert done.returncode == 1, done.stdout[-300:] + done.stderr
    assert "report" in done.stdout + done.stderr
    assert "2 open ports" in done.stdout


@pytest.mark.needs("namespaces")
def test_a_host_whose_time_is_up_can_be_gone_on_with(scanner: Host, tmp_path: Path) -> None:
    words = ("-p", "1-1000", "--rate", "500", "--host-timeout", "1s", TARGET)  # of two
    done = scan(scanner, *words, folder=tmp_path)
    assert done.returncode == 0
    assert "its time limit of 1 s was over" in done.stdout
    (kept,) = tmp_path.glob("*.resume")
    assert done.stderr == (
        "sw scan: the scan of 1 host ended early; what is known is shown. "
        f"To go on: sw scan --resume {kept.name}\n"
    )
    left = int(re.search(r"(\d+) tcp ports not asked", done.stdout)[1])  # type: ignore[index]
    more = ("--rate", "max", "--host-timeout", "30s")
    done = scan(scanner, "--resume", kept.name, *more, folder=tmp_path)
    assert done.returncode == 0
    assert done.stderr == f"sw scan: all of that scan is done; {kept.name} is of no more use\n"
    assert "997 closed tcp ports (reset)" in done.stdout
    assert 0 < left <= _probes(done.stdout) < 1000


@pytest.mark.needs("namespaces")
def test_where_nobody_could_be_asked_that_is_said_and_makes_it_status_1(network: Network) -> None:
    done = scan(network.router, "-p", "22", "10.99.0.1")
    assert done.returncode == 1
    assert "\nHost 10.99.0.1 was not asked.\n" in done.stdout
    assert done.stdout.endswith(
        "Nobody was asked: not a single probe was sent.\n"
        "Note: 1 address cannot be reached from here: Network is unreachable\n"
    )


def _probes(text: str) -> int:
    """Return how many probes a summary tells of."""
    line = next(line for line in text.splitlines() if " probes, " in line)
    return int(line.split()[0])


@pytest.mark.needs("namespaces")
def test_a_time_limit_ends_the_whole_with_status_3(scanner: Host, tmp_path: Path) -> None:
    done = scan(scanner, "-p-", "--time-limit", "300ms", TARGET, folder=tmp_path)
    assert done.returncode == 3
    first, *_ = done.stdout.splitlines()
    assert first.endswith(". At most 1000 packets a second; -T4 is faster")
    assert "the time limit was reached" in done.stderr
    assert "not asked" in done.stdout
    assert list(tmp_path.glob("*.resume"))


@pytest.mark.needs("namespaces")
def test_a_time_limit_is_kept_while_services_say_nothing(network: Network, tmp_path: Path) -> None:
    with network.target.socket(socket.AF_INET, socket.SOCK_STREAM) as mute:
        mute.bind(("", 0))
        mute.listen(64)
        port = str(mute.getsockname()[1])
        began = time.monotonic()
        done = scan(
            network.scanner, "-sV", "-Pn", "-p", port, "--time-limit", "800ms", TARGET,
            folder=tmp_path,
        )  # fmt: skip
        assert time.monotonic() - began < 8  # without the limit it would be 11
    assert done.returncode == 3
    assert f"{port}/tcp" in done.stdout


@pytest.mark.needs("namespaces")
def test_a_terminal_sees_how_far_it_is_and_the_line_goes_away(scanner: Host) -> None:
    ours, theirs = pty.openpty()
    words = [SW, "scan", "-p", "1-3000", "--rate", "2000", TARGET]
    with scanner.popen(words, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while octets := os.read(ours, 65536):
                shown += octets
        except OSError:
            pass  # EIO: it has left the terminal
        assert process.wait() == 0
    os.close(ours)
    text = shown.decode()
    assert " packets/s" in text
    assert "% lost" not in text
    line, _, rest = text.rpartition("\r\x1b[K")
    assert "open" in line
    assert "Scan report for" in rest, "the report begins where the line was"


# -- starting -----------------------------------------------------------------------------------

_NOT_FOR_A_SCAN = {
    "asyncio", "ssl", "cryptography", "prompt_toolkit", "numpy", "rich", "subprocess",
    "logging", "json", "pathlib", "shutil", "ipaddress", "tempfile", "argparse",
}  # fmt: skip


@pytest.mark.needs("namespaces")
def test_a_plain_scan_loads_only_what_it_needs(scanner: Host) -> None:
    source = str(Path(SW).parent.parent)
    code = (
        "import sys, sockwright\n"
        "before = set(sys.modules)\n"
        "from sockwright.cli import main\n"
        "status = main(['scan', '-p', '22', '127.0.0.1'])\n"
        "print(*(set(sys.modules) - before), file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = scanner.run([sys.executable, "-I", "-c", code], timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr + source
    assert not _NOT_FOR_A_SCAN & set(done.stderr.split())
