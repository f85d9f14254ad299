"""`sw sql`: rows as tables and as JSON, mistakes as one line, what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sockwright.records import PcapWriter, Record
from sockwright.tools import sql as verb
from sockwright.wire import TCP, UDP, Ethernet, IPv4

_SW = Path(sys.executable).with_name("sw")
_SOURCES = "select ipv4_src, count(*) as packets from packets group by all order by 1"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A capture of twelve packets."""
    path = tmp_path / "x.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number in range(12):
            transport = TCP(dst_port=80) if number % 4 else UDP(dst_port=53)
            octets = bytes(Ethernet() / IPv4(src=f"10.0.0.{number // 10}") / transport)
            writer.write(Record(10**18 + number, octets, len(octets)))
    return path


def _sw(*words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(_SW), "sql", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_rows_are_a_table_with_numbers_to_the_right(path: Path) -> None:
    done = _sw(str(path), _SOURCES)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ipv4_src  packets\n10.0.0.0       10\n10.0.0.1        2\n"


def test_json_is_one_object_a_row(path: Path) -> None:
    done = _sw(str(path), "select frame_number, udp_dst_port from packets limit 2", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"frame_number": 1, "udp_dst_port": 53},
        {"frame_number": 2, "udp_dst_port": None},
    ]


def test_null_is_a_dash_and_no_row_no_line(path: Path) -> None:
    assert _sw(str(path), "select vlan_vid from packets limit 1").stdout == "vlan_vid\n       -\n"
    done = _sw(str(path), "select 1 from packets where vlan_vid = 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_filter_is_that_of_tcpdump(path: Path) -> None:
    done = _sw(str(path), "--filter", "udp port 53", "select count(*) as n from packets", "--json")
    assert done.stdout == '{"n": 3}\n'
    done = _sw(str(path), "--filter", "udp prt 53", "select 1")
    assert done.returncode == 2
    assert done.stderr.startswith("sw sql: ")


def test_more_rows_than_widths_are_looked_at_for(path: Path) -> None:
    done = _sw(str(path), "select range as number from range(2500)")
    assert len(done.stdout.splitlines()) == 2501


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select tcp_dst_prt from packets", ["'tcp_dst_prt', at character 8", '"tcp_dst_port"']),
        ("selec 1", ["syntax error", "at character 1"]),
        ("drop view packets", ["a query selects"]),
        ("copy packets to '/tmp/never'", ["a query selects"]),
    ],
)
def test_a_mistake_is_one_line_and_status_2(path: Path, query: str, words: list[str]) -> None:
    done = _sw(str(path), query)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sw sql: ")
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words)


def test_a_cut_capture_gives_its_rows_and_status_6(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    done = _sw(str(path), "select count(*) as n from packets", "--json")
    assert (done.returncode, done.stdout) == (6, '{"n": 11}\n')
    assert "record 12" in done.stderr


def test_a_cut_capture_gives_its_table_before_the_error(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    done = _sw(str(path), "select count(*) as n from packets")
    assert (done.returncode, done.stdout) == (6, " n\n11\n")
    assert "record 12" in done.stderr


def test_what_is_no_number_is_null_in_json(path: Path) -> None:
    done = _sw(str(path), "select 'nan'::double as f, ['-inf'::double, 1.5::double] as g", "--json")
    assert done.stdout == '{"f": null, "g": [null, 1.5]}\n'
    assert _sw(str(path), "select 'nan'::double as f").stdout == "  f\nnan\n"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = _sw(str(tmp_path / "nothing.pcap"), "select 1")
    assert done.returncode == 1
    assert "nothing.pcap" in done.stderr


def test_a_capture_may_come_through_a_pipe(path: Path) -> None:
    done = _sw("-", "select count(*) as n from packets", "--json", stdin=path.read_bytes())
    assert (done.returncode, done.stdout) == (0, '{"n": 12}\n')


def test_a_pipe_serves_both_tables_and_a_filter(path: Path) -> None:
    query = "select count(*) as n from packets p join flows f on p.flow_id = f.flow"
    words = ("--filter", "tcp", "--json")
    done = _sw("-", query, *words, stdin=path.read_bytes())
    assert (done.returncode, done.stdout, done.stderr) == (0, '{"n": 9}\n', "")


def test_without_duckdb_the_way_to_get_it_is_told(path: Path) -> None:
    code = f"""
import sys
sys.modules["duckdb"] = None
from sockwright.cli import main
sys.exit(main(["sql", {str(path)!r}, "select 1"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert done.stderr == (
        "sw sql: the package duckdb is missing; pip install 'sockwright[sql]' brings it\n"
    )


@pytest.mark.needs("namespaces", "bash")
@pytest.mark.parametrize("command", [command for command, _ in verb.EXAMPLES])
def test_examples_show_rows(command: str, tmp_path: Path) -> None:
    environment = {"PATH": f"{_SW.parent}:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(Path.home())}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(done.stdout.splitlines()) > 1
