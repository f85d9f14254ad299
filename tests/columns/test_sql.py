"""SQL over captures: what it sees, what is filled for it, what it may not do, what is told."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sockwright.columns import open_capture
from sockwright.columns.selecting import Selector
from sockwright.columns.sql import FLOW_COLUMNS, SqlError, column_names, query
from sockwright.errors import TruncatedError
from sockwright.records import PcapWriter, Record
from sockwright.wire import ARP, TCP, UDP, VLAN, Ethernet, IPv4, IPv6

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.wire import Packet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A capture of some flows, one of them tagged, and one over IPv6."""
    packets: list[Packet] = []
    for number in range(10):
        network = IPv4(src="10.0.0.1", dst=f"10.0.{number % 2}.2")
        packets.append(
            Ethernet() / network / TCP(src_port=1000, dst_port=80, flags="S") / bytes(number)
        )
    packets.append(Ethernet() / VLAN(vid=5) / IPv4(src="10.0.0.1") / TCP(dst_port=80))
    packets.append(Ethernet() / IPv6(src="fe80::1", dst="fe80::2") / UDP(dst_port=53))
    packets.append(Ethernet() / ARP())
    path = tmp_path / "x.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number, packet in enumerate(packets):
            octets = bytes(packet)
            writer.write(Record(10**18 + number * 10**6, octets, len(octets)))
    return path


def _ask(path: Path, sql: str, text: str | None = None) -> list[dict[str, Any]]:
    with open_capture(path) as capture:
        return list(query(capture, sql, Selector(text) if text is not None else None))


def _one(path: Path, sql: str, text: str | None = None) -> Any:
    ((value,),) = [row.values() for row in _ask(path, sql, text)]
    return value


def test_packets_are_grouped_by_what_they_are(path: Path) -> None:
    sql = """
        select ipv4_dst, count(*) as packets, sum(payload_length) as octets
        from packets where tcp_dst_port = 80 and vlan_vid is null group by all order by 1
    """
    assert _ask(path, sql) == [
        {"ipv4_dst": "10.0.0.2", "packets": 5, "octets": 0 + 2 + 4 + 6 + 8},
        {"ipv4_dst": "10.0.1.2", "packets": 5, "octets": 1 + 3 + 5 + 7 + 9},
    ]


def test_what_a_packet_lacks_is_null(path: Path) -> None:
    assert _one(path, "select count(*) from packets where tcp_dst_port is null") == 2
    assert _one(path, "select ipv6_src from packets where udp_dst_port = 53") == "fe80::1"


@pytest.mark.parametrize(
    ("network", "packets"),
    [("10.0.1.0/24", 5), ("10.0.0.0/8", 10), ("0.0.0.0/0", 11), ("10.0.0.2/32", 5)],
)
def test_networks_hold_addresses(path: Path, network: str, packets: int) -> None:
    sql = f"select count(*) from packets where in_network(ipv4_dst, '{network}')"
    assert _one(path, sql) == packets


def test_addresses_are_numbers_where_asked(path: Path) -> None:
    assert _one(path, "select max(ipv4_number(ipv4_dst)) from packets") == 0x0A000102
    assert _one(path, "select max(ipv4_number(ipv6_src)) from packets") is None


def test_flags_are_bits(path: Path) -> None:
    assert _one(path, "select count(*) from packets where tcp_flags & 2 = 2") == 10


def test_flows_are_conversations_and_join_packets(path: Path) -> None:
    rows = _ask(path, "select * from flows order by flow")
    assert tuple(rows[0]) == FLOW_COLUMNS
    assert (rows[0]["src"], rows[0]["dst_port"], rows[0]["packets"]) == ("10.0.0.1", 80, 5)
    sql = """
        select f.dst, max(p.frame_number) as last
        from packets p join flows f on p.flow_id = f.flow where f.protocol = 'TCP' group by all
        order by last
    """
    assert _ask(path, sql)[0] == {"dst": "10.0.0.2", "last": 9}


def test_a_filter_chooses_the_packets_of_both_tables(path: Path) -> None:
    assert _one(path, "select count(*) from packets", "dst host 10.0.1.2") == 5
    assert _one(path, "select count(*) from flows", "dst host 10.0.1.2") == 1
    assert _one(path, "select min(frame_number) from packets", "udp or arp or ip6") == 12
    assert _one(path, "select count(*) from packets", "less 10") == 0


def test_a_condition_on_columns_differs_from_a_filter_of_the_same_words(path: Path) -> None:
    sql = "select count(*) from packets"
    by_columns = _one(path, f"{sql} where ipv4_protocol = 6 and tcp_dst_port = 80")
    by_filter = _one(path, sql, "tcp port 80")
    assert (by_columns, by_filter) == (11, 10)  # the filter does not look behind the VLAN tag


def test_every_way_to_take_all_columns_works(path: Path) -> None:
    (row, *_) = _ask(path, "from packets")
    assert {"frame_number", "ipv4_src", "flow_id", "inner_ipv4_src"} <= row.keys()
    assert _ask(path, "select * exclude (frame_number) from packets")[0].keys() < row.keys()
    (whole,) = _ask(path, "select p from packets p limit 1")
    assert whole["p"]["ipv4_src"] == "10.0.0.1"
    (chosen,) = _ask(path, "select columns('^tcp_(src|dst)_port') from packets limit 1")
    assert chosen == {"tcp_src_port": 1000, "tcp_dst_port": 80}
    with_icmp = _ask(path, "select *, icmp_checksum from packets limit 1")[0]
    assert with_icmp["icmp_checksum"] is None


@pytest.mark.parametrize(
    "sql",
    [
        "describe packets",
        "summarize packets",
        "with a as (select * from packets) select count(tcp_seq) from a",
        "select TCP_SEQ from PACKETS",
        "select count(*) from packets as a join packets as b using (flow_id)",
        "select (select max(p.ipv4_ttl) from packets p where p.flow_id = f.flow) from flows f",
        "pivot packets on ip_version using count(*) group by vlan_vid",
        "explain select tcp_seq from packets",
        "select sum(frame_length) over (order by frame_number) from packets",
        "select 1",
        "show tables",
    ],
)
def test_what_selects_is_answered(path: Path, sql: str) -> None:
    assert _ask(path, sql)


def test_only_named_columns_are_filled(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sockwright.columns import filling
    from sockwright.columns import sql as module

    asked: list[list[str]] = []
    real = filling.columns_of

    def watched(capture: Any, names: list[str]) -> Any:
        asked.append(names)
        return real(capture, names)

    monkeypatch.setattr(module, "columns_of", watched)
    _ask(path, "select count(*) from packets where TCP_dst_port = 80 and inner_ipv4_ttl is null")
    _ask(path, "select count(*) from packets")
    _ask(path, "select count(*) from flows")
    assert [set(names) for names in asked] == [
        {"tcp.dst_port", "inner.ipv4.ttl"},
        {"frame.length"},
    ]


def test_names_that_stand_twice_get_a_number(path: Path) -> None:
    assert _ask(path, "select 1 as a, 2 as a, 3 as b") == [{"a": 1, "a:2": 2, "b": 3}]


@pytest.mark.parametrize(
    ("sql", "word", "position", "message"),
    [
        ("selec 1", "selec", 1, "syntax error"),
        ("select tcp_dst_prt from packets", "tcp_dst_prt", 8, '"tcp_dst_port"'),
        ("select\n tcp_dst_prt\nfrom packets", "tcp_dst_prt", 9, "not found"),
        ("select * from packet", "packet", 15, 'Did you mean "packets"'),
        ("select 'a' + tcp_seq from packets", "", None, "'a'"),
        ("select 1; select 2", "", None, "one statement is run, here are 2"),
        ("", "", None, "one statement is run, here are 0"),
    ],
)
def test_mistakes_are_told_with_their_place(
    path: Path, sql: str, word: str, position: int | None, message: str
) -> None:
    with pytest.raises(SqlError) as caught:
        _ask(path, sql)
    assert message in caught.value.message
    if word:
        assert (caught.value.word, caught.value.position) == (word, position)
        assert f"at character {position}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from glob('/*')",
        "copy packets to '/tmp/never'",
        "copy (select 1) to '/tmp/never'",
        "attach '/tmp/never.db'",
        "install httpfs",
        "load httpfs",
        "set threads = 100",
        "set enable_external_access = true",
        "reset all",
        "create table t as select 1",
        "insert into packets values (1)",
        "drop view packets",
        "pragma database_list",
        "call pragma_version()",
        "export database '/tmp/never'",
        "select * from secret",
        "select getenv('HOME')",
    ],
)
def test_a_query_reads_the_capture_and_nothing_else(path: Path, sql: str) -> None:
    secret = [1, 2, 3]  # DuckDB would find a variable of this name, if it were let
    with pytest.raises(SqlError):
        _ask(path, sql)
    assert secret


def test_memory_is_limited(path: Path) -> None:
    with open_capture(path) as capture, pytest.raises(SqlError, match=r"(?i)memory"):
        list(query(capture, "select list(range) from range(100000000)", memory="50MB"))


def test_a_cut_capture_gives_its_rows_and_then_the_error(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    for table, count in (("packets", 12), ("flows", 4)):
        with open_capture(path) as capture:
            rows = query(capture, f"select count(*) as n from {table}")
            assert next(rows) == {"n": count}
            with pytest.raises(TruncatedError):
                next(rows)


def test_every_column_can_be_asked_for(path: Path) -> None:
    names = ", ".join(column_names())
    (row, *_) = _ask(path, f"select {names} from packets")
    assert len(row) == len(column_names()) > 400


@pytest.mark.parametrize(
    "sql",
    [
        # 10**12 rows, which it is at for hours.
        "select sum(a.range * b.range) from range(1000000) a, range(1000000) b",
        # Computed while the query is looked at, without a look at who wants it to end.
        "select list_sum(range(400000000))",
    ],
)
def test_ctrl_c_ends_a_long_query(path: Path, sql: str) -> None:
    code = f"""
from sockwright.columns import open_capture
from sockwright.columns.sql import query
import duckdb  # before the two seconds begin
print("ready", flush=True)
with open_capture({str(path)!r}) as capture:
    list(query(capture, {sql!r}))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(2)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "KeyboardInterrupt" in errors
    assert output == ""  # no progress bar
