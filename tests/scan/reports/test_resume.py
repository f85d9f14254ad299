"""Notes of a scan that was stopped: what comes back, what is refused, and how small they are."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import tracemalloc
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, strategies
from hypothesis import settings as hypothesis_settings
from tests.identify.asking import VECTORS, Replay
from tests.scan.reports.samples import RESET, SILENT, SYN_ACK, host, hostile_host, settings

from sockwright.errors import DecodeError
from sockwright.identify.database import load_signatures
from sockwright.identify.matching import match
from sockwright.scan.port_table import PortTable
from sockwright.scan.reasons import number_of
from sockwright.scan.reports.resume import ResumeNotes
from sockwright.scan.reports.resumed import read_resume
from sockwright.scan.results import Hop, HostResult, Service
from sockwright.scan.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.scan.reports.resumed import Resumed


def save(path: Path, *hosts: HostResult, finished: bool = True) -> Resumed:
    notes = ResumeNotes(settings(), targets=("192.0.2.0/24",), started_ns=5)
    for one in hosts:
        notes.host(one, finished=finished)
    assert notes.save(str(path)) == str(path)
    return read_resume(str(path))


def told(result: HostResult | None) -> dict[str, Any]:
    """Return everything of a host in terms that can be compared."""
    assert result is not None
    known = {field.name: getattr(result, field.name) for field in fields(result)}
    return known | {"ports": [list(table) for table in result.ports]}


def test_settings_targets_and_options_come_back(tmp_path: Path) -> None:
    asked = Settings(
        methods=("syn", "udp"),
        tcp_ports=(22, 80),
        udp_ports=tuple(range(1, 100)),
        discovery="none",
        rate=None,
        retries=3,
        max_miss=0.5,
        host_timeout=12.5,
        seed=99,
        services=True,
        interface="eth0",
    )
    options = {"open": True, "names": ["a", "b"], "level": 3, "share": 0.5, "text": "x"}
    notes = ResumeNotes(
        asked, targets=("a", "b/24"), exclude=("c",), options=options, started_ns=17
    )
    notes.save(str(tmp_path / "a"))
    with read_resume(str(tmp_path / "a")) as resumed:
        assert resumed.settings == asked
        assert (resumed.targets, resumed.exclude) == (("a", "b/24"), ("c",))
        assert resumed.options == options
        assert resumed.started_ns == 17
        assert resumed.saved_ns > 17


def test_the_seed_that_the_scan_went_by_comes_back(tmp_path: Path) -> None:
    notes = ResumeNotes(Settings(), targets=("x",))
    notes.save(str(tmp_path / "a"), seed=1234)
    with read_resume(str(tmp_path / "a")) as resumed:
        assert resumed.settings == Settings(seed=1234)


def test_a_finished_host_comes_back_whole(tmp_path: Path) -> None:
    found = host(silent=(8080,), loss=0.25, misses=0.125, complete=False)
    found.services["tcp", 80] = Service(
        "http", 0.9, "probed", "nginx", tunnel="tls", cpe=("cpe:/a:b",), details={"http.title": "t"}
    )
    found.hops = (Hop(1, "192.0.2.254", "gw", 1000), Hop(2, ""))
    found.names = ("a.example",)
    found.remarks = ("answers ran into a limit",)
    found.mac = "02:00:00:00:00:01"
    with save(tmp_path / "a", found) as resumed:
        assert told(resumed.finished(found.host)) == told(found)
        assert resumed.begun(found.host) is None
        assert [one.host for one in resumed.results()] == [found.host]


def test_that_nothing_answered_comes_back(tmp_path: Path) -> None:
    found = replace(host(open_ports=(), silent=(8080,)), complete=None)
    with save(tmp_path / "a", found) as resumed:
        finished = resumed.finished(found.host)
    assert finished is not None
    assert finished.complete is None


def test_texts_of_strangers_come_back_as_they_were(tmp_path: Path) -> None:
    with save(tmp_path / "a", hostile_host()) as resumed:
        assert told(resumed.finished("2001:db8::1")) == told(hostile_host())


def test_a_host_that_was_begun_knows_the_ports_that_answered(tmp_path: Path) -> None:
    found = host(silent=(8080, 8081))
    with save(tmp_path / "a", found, finished=False) as resumed:
        assert resumed.finished(found.host) is None
        assert resumed.begun(found.host) is not None
        table = PortTable(found.host, "tcp", (80, 81, 443, 8080), SILENT)
        assert resumed.fill(table) == 2
        assert [table.known(at) for at in range(4)] == [True, False, True, False]
        assert table[80] == found.ports[0][80]
        assert table[443] == found.ports[0][443]
        assert resumed.fill(PortTable(found.host, "udp", (80,), SILENT)) == 0
        assert resumed.fill(PortTable("192.0.2.77", "tcp", (80,), SILENT)) == 0


def test_what_this_machine_itself_said_of_ports_is_to_be_asked_again(tmp_path: Path) -> None:
    no_route = number_of("no-route", "filtered")
    table = PortTable("2001:db8::1", "tcp", (22, 80, 443, 40000), SILENT)
    table.set(0, no_route, 0)  # the kernel's word
    table.set(1, no_route, 1, 300, 60, "2001:db8::2")  # a router's
    table.set(3, number_of("localhost-response", "closed"), 0)
    found = HostResult("2001:db8::1", "up", "user-set", ports=(table,), complete=False)
    for finished, known in ((False, [80]), (True, [22, 80, 40000])):
        path = tmp_path / str(finished)
        with save(path, found, finished=finished) as resumed:
            again = PortTable(found.host, "tcp", (22, 80, 443, 40000), SILENT)
            assert resumed.fill(again) == len(known)
            assert [row.port for at, row in enumerate(again) if again.known(at)] == known


def test_what_answered_since_is_not_replaced(tmp_path: Path) -> None:
    found = host()
    with save(tmp_path / "a", found, finished=False) as resumed:
        table = PortTable(found.host, "tcp", (80,), SILENT)
        table.set(0, RESET, 2)
        assert resumed.fill(table) == 0
        assert table[80].state == "closed"


def test_many_ports_of_one_reason_keep_their_state(tmp_path: Path) -> None:
    closed = tuple(range(1000, 60000, 2))
    found = host(closed=closed, silent=tuple(range(1001, 2000, 2)))
    with save(tmp_path / "a", found) as resumed:
        back = resumed.finished(found.host)
        assert back is not None
        assert back.ports[0].counts() == found.ports[0].counts()
        assert back.ports[0][1002].state == "closed"
        assert back.ports[0][1003].tries == 2
        assert back.ports[0][22] == found.ports[0][22]


def test_the_system_that_was_identified_comes_back(tmp_path: Path) -> None:
    (recorded,) = VECTORS.glob("linux-6.18-ipv4.pcap")
    measured = Replay(recorded).traits()
    found = host()
    found.os = match(measured, load_signatures(), host=found.host, missing=("a closed port",))
    assert found.os.family == "Linux"
    with save(tmp_path / "a", found) as resumed:
        assert told(resumed.finished(found.host)) == told(found)


def test_silent_hosts_become_ranges(tmp_path: Path) -> None:
    silent = [HostResult(f"192.0.2.{n}", "down", "no-response") for n in (7, 5, 6, 9)]
    silent += [HostResult(f"2001:db8::{n:x}", "down", "no-response") for n in (0x10, 0xF)]
    silent.append(HostResult("fe80::1%eth0", "down", "no-response"))
    with save(tmp_path / "a", *silent) as resumed:
        text = (tmp_path / "a").read_text()
        assert '["192.0.2.5-192.0.2.7","192.0.2.9"]' in text
        assert '["2001:db8::f-2001:db8::10"]' in text
        assert resumed.hosts == 7
        for address in ("192.0.2.5", "192.0.2.7", "192.0.2.9", "2001:db8::f", "fe80::1%eth0"):
            assert told(resumed.finished(address)) == told(
                HostResult(address, "down", "no-response")
            )
        for address in ("192.0.2.4", "192.0.2.8", "2001:db8::e", "fe80::1", "a.example"):
            assert resumed.finished(address) is None


def test_notes_can_be_saved_and_taken_further(tmp_path: Path) -> None:
    notes = ResumeNotes(settings(), targets=("x",))
    notes.host(host("192.0.2.1"))
    notes.save(str(tmp_path / "a"))
    notes.host(host("192.0.2.2"))
    notes.save(str(tmp_path / "b"))
    with read_resume(str(tmp_path / "a")) as first, read_resume(str(tmp_path / "b")) as second:
        assert [len(list(one.results())) for one in (first, second)] == [1, 2]


def test_a_file_is_made_anew_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    notes = ResumeNotes(settings(), targets=("x",))
    names = {notes.save() for _ in range(3)}
    assert len(names) == 3
    for name in names:
        assert name.endswith(".resume")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        notes.save(names.pop())


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        ResumeNotes(settings(), targets=("x",)).save(str(tmp_path / "link"))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.needs("root")
def test_on_a_full_disk_no_file_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", folder], check=True)
    try:
        notes = ResumeNotes(settings(), targets=("x",))
        for number in range(200):
            notes.host(host(f"192.0.2.{number}"))
        with pytest.raises(OSError, match="No space left") as caught:
            notes.save(str(folder / "a"))
        assert caught.value.filename == str(folder / "a")
        assert not list(folder.iterdir())
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_network_of_65536_hosts_stays_small(tmp_path: Path) -> None:
    ports = tuple(range(1, 101))
    notes = ResumeNotes(settings(ports), targets=("198.18.0.0/16",))
    table = PortTable("", "tcp", ports, SILENT)
    for at in range(100):
        table.set(at, SYN_ACK if at % 20 == 0 else RESET, 1, 100 + 7 * at, 61)
    tracemalloc.start()
    for number in range(65536):
        address = f"198.18.{number >> 8}.{number & 255}"
        if number % 64:
            notes.host(HostResult(address, "down", "no-response"))
        else:
            notes.host(HostResult(address, "up", "syn-ack", ports=(table,), answers=100))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    path = notes.save(str(tmp_path / "a"))
    assert (tmp_path / "a").stat().st_size < 1 << 20
    tracemalloc.reset_peak()
    with read_resume(path) as resumed:
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        assert resumed.hosts == 65536
        assert resumed.finished("198.18.1.1") is not None
    tracemalloc.stop()


# Files that nobody should trust

_HEAD: dict[str, Any] = {
    "kind": "resume",
    "version": 1,
    "started_ns": 0,
    "saved_ns": 0,
    "targets": ["x"],
    "exclude": [],
    "options": {},
    "settings": {"tcp_ports": "22,80", "methods": ["syn"]},
}
_TABLE: dict[str, Any] = {"protocol": "tcp", "tries": 1, "silent": ["no-response", "filtered"]}
_HOST: dict[str, Any] = {
    "host": "192.0.2.1",
    "state": "up",
    "reason": "syn-ack",
    "finished": True,
    "tables": [_TABLE],
}


def refused(path: Path, *lines: dict[str, Any] | str) -> str:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join([*texts, ""]))
    with pytest.raises(DecodeError, match=re.escape(f"{path} at octet")) as caught:
        read_resume(str(path))
    return caught.value.message


def end(hosts: int) -> dict[str, Any]:
    return {"kind": "end", "hosts": hosts}


def test_the_samples_below_are_right_but_for_one_thing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("\n".join([json.dumps(_HEAD), json.dumps(_HOST), json.dumps(end(1)), ""]))
    with read_resume(str(path)) as resumed:
        assert resumed.finished("192.0.2.1") is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "x"}, "no file that a scan wrote"),
        ({"version": 2}, "version 2"),
        ({"settings": {"rate": -1}}, "rate is outside"),
        ({"settings": {"rate": float("nan")}}, "rate is outside"),
        ({"settings": {"rate": "fast"}}, "rate is 'fast'"),
        ({"settings": {"methods": ["rm -rf"]}}, "methods is 'rm -rf'"),
        ({"settings": {"evidence": "/etc/passwd"}}, "'evidence' is no setting"),
        ({"settings": {"overwrite": True}}, "'overwrite' is no setting"),
        ({"settings": {"unheard_of": 1}}, "no setting"),
        ({"settings": {"tcp_ports": "1-65536"}}, "no range of ports"),
        ({"settings": {"tcp_ports": "5-1"}}, "no range of ports"),
        ({"settings": {"tcp_ports": "1-9,1-9"}}, "no range of ports"),
        ({"settings": {"discovery": "loud"}}, "discovery is"),
        ({"settings": {"hosts_at_once": 0}}, "hosts_at_once takes 1 or more, not 0"),
        ({"settings": []}, "should be an object"),
        ({"options": {"a": {"b": 1}}}, "a is"),
        ({"targets": [1]}, "should be a text"),
        ({"started_ns": -1}, "outside"),
        ({"started_ns": 10**400}, "started_ns is outside"),
        ({"settings": {"rate": -(10**400)}}, "rate is outside"),
        ({"options": {"a": 10**400}}, "a is outside"),
    ],
)
def test_a_wrong_head_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path / "a", _HEAD | change, end(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": "dancing"}, "state is"),
        ({"host": 5}, "should be a text"),
        ({"finished": "yes"}, "true or false"),
        ({"loss": 10**400}, "loss is outside"),
        ({"loss": 1e999}, "loss is outside"),
        ({"tables": [_TABLE] * 3}, "more than two tables"),
        ({"tables": [_TABLE | {"protocol": "sctp"}]}, "protocol is"),
        ({"tables": [_TABLE | {"known": {"reset closed": "23"}}]}, "23 is missing"),
        ({"tables": [_TABLE | {"known": {"reset open": "22"}}]}, "no reason for"),
        ({"tables": [_TABLE | {"known": {"a b c": "22"}}]}, "too many values"),
        ({"tables": [_TABLE | {"evidence": [[22]]}]}, "7 entries"),
        (
            {"tables": [_TABLE | {"evidence": [[22, "syn-ack", "open", 999, None, None, ""]]}]},
            "try is outside",
        ),
        ({"services": [["tcp", 99999, {}]]}, "port is outside"),
        ({"hops": [[1, "a", "b", "c"]]}, "hops should be a number"),
        ({"names": ["x" * 70_000]}, "should be a text"),
        ({"os": {}}, "measured should be an object"),
        ({"os": {"measured": {"seq.clock": 10**400}}}, "measured is outside"),
        ({"os": {"measured": {"seq.clock": 1.5}}}, "measured should be a text"),
        ({"os": {"measured": {str(n): 1 for n in range(2000)}}}, "too many entries"),
    ],
)
def test_a_wrong_host_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    assert message in refused(tmp_path / "a", _HEAD, _HOST | change, end(1))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((_HEAD, _HOST), "its last line is missing"),
        ((_HEAD, _HOST, end(2)), "hosts are missing"),
        ((_HEAD, _HOST, _HOST, end(2)), "there twice"),
        ((_HEAD, end(0), _HOST), "behind the last line"),
        ((_HEAD, "[1, 2]", end(0)), "should be an object"),
        ((_HEAD, "[" * 100_000, end(0)), "nested too deep"),
        ((_HEAD, '{"host": ', end(0)), "Expecting value"),
        ((_HEAD, '{"a":' + "1" * 5000 + "}", end(0)), "digits"),
        (
            (_HEAD, {"silent": ["192.0.2.9-192.0.2.1"], "state": "down", "reason": "x"}, end(0)),
            "no range of addresses",
        ),
        (
            (_HEAD, {"silent": ["::-ffff::"], "state": "down", "reason": "x"}, end(1)),
            "hosts are missing",
        ),
        (("",), "no file that a scan wrote"),
        (("x" * (9 << 20),), "too long"),
    ],
)
def test_a_wrong_file_is_refused(
    tmp_path: Path, lines: tuple[dict[str, Any] | str, ...], message: str
) -> None:
    assert message in refused(tmp_path / "a", *lines)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save(path, host()).close()
    octets = path.read_bytes()
    for size in range(0, len(octets), 7):
        path.write_bytes(octets[:size])
        with pytest.raises(DecodeError):
            read_resume(str(path))


@hypothesis_settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=strategies.data())
def test_changed_octets_raise_nothing_but_decode_errors(
    tmp_path: Path, data: strategies.DataObject
) -> None:
    path = tmp_path / "a"
    if not path.exists():
        save(path, host(), HostResult("192.0.2.9", "down", "no-response")).close()
        (tmp_path / "good").write_bytes(path.read_bytes())
    octets = bytearray((tmp_path / "good").read_bytes())
    for _ in range(data.draw(strategies.integers(1, 4))):
        at = data.draw(strategies.integers(0, len(octets) - 1))
        octets[at] = data.draw(strategies.integers(0, 255))
    path.write_bytes(octets)
    with contextlib.suppress(DecodeError):
        read_resume(str(path)).close()


def test_a_number_of_udp_ports_unproven_comes_back(tmp_path: Path) -> None:
    ports = tuple(range(1, 101))
    table = PortTable("192.0.2.1", "udp", ports, number_of("no-response", "open|filtered"))
    table.tries = 4
    table.limit("icmp")
    found = HostResult("192.0.2.1", "up", "echo-reply", ports=(table,))
    with save(tmp_path / "a", found) as resumed:
        back = resumed.finished("192.0.2.1")
        assert told(back) == told(found)
        assert back is not None
        assert back.ports[0][7].limited == "icmp"
        assert back.ports[0][7].reason == "unproven"
