"""Export as Parquet: the same rows, in place as a whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from sockwright.columns import open_capture
from sockwright.columns.arrow import table_of
from sockwright.columns.filling import columns_of
from sockwright.columns.parquet import export_parquet
from sockwright.columns.plan import STANDARD
from sockwright.columns.selecting import Selector
from sockwright.errors import TruncatedError
from sockwright.records import PcapWriter, Record
from sockwright.wire import TCP, UDP, Ethernet, IPv4

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A capture of a thousand packets."""
    path = tmp_path / "x.pcap"
    with path.open("wb") as file:
        writer = PcapWriter(file)
        for number in range(1000):
            transport = TCP(dst_port=number) if number % 3 else UDP(dst_port=number)
            network = IPv4(src="10.0.0.1", dst=f"10.0.0.{number % 250}")
            octets = bytes(Ethernet() / network / transport)
            writer.write(Record(10**18 + number, octets, len(octets)))
    return path


def _export(path: Path, target: Path, names: Sequence[str] = ()) -> int:
    with open_capture(path) as capture:
        return export_parquet(capture, target, names)


def test_the_file_holds_the_standard_columns(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    assert _export(path, target) == 1000
    with open_capture(path) as capture:
        table = table_of(columns_of(capture, ["frame.number", *STANDARD]))
    read = pq.read_table(target)
    assert read.column_names == table.column_names
    assert read.to_pylist() == table.to_pylist()
    assert pq.ParquetFile(target).metadata.row_group(0).column(0).compression == "ZSTD"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out.parquet", "x.pcap"]


def test_columns_and_packets_can_be_chosen(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    with open_capture(path) as capture:
        names = ["frame.number", "udp.dst_port"]
        assert export_parquet(capture, target, names, Selector("udp dst port 3 or port 6")) == 2
    assert pq.read_table(target).to_pylist() == [
        {"frame_number": 4, "udp_dst_port": 3},
        {"frame_number": 7, "udp_dst_port": 6},
    ]


def test_a_cut_capture_is_exported_up_to_its_last_whole_record(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TruncatedError):
        _export(path, target)
    assert pq.read_table(target).num_rows == 999


def test_a_wrong_field_leaves_what_was_there(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    target.write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"tcp\.dst_prt"):
        _export(path, target, ["tcp.dst_prt"])
    assert target.read_bytes() == b"precious"


def test_a_disk_that_is_full_leaves_nothing(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    target.write_bytes(b"precious")
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from sockwright.columns import open_capture
from sockwright.columns.parquet import export_parquet
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    export_parquet(open_capture({str(path)!r}), {str(target)!r})
except OSError as error:
    print(error.strerror or error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "File too large" in done.stdout
    assert target.read_bytes() == b"precious"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["out.parquet", "x.pcap"]


def test_a_device_is_written_to_as_it_is(path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        _export(path, Path("/dev/full"))


def test_the_target_of_a_link_is_replaced_not_the_link(path: Path, tmp_path: Path) -> None:
    real, link = tmp_path / "real.parquet", tmp_path / "link.parquet"
    real.write_bytes(b"")
    link.symlink_to(real)
    _export(path, link, ["frame.number"])
    assert link.is_symlink()
    assert pq.read_table(real).num_rows == 1000
