"""The benchmarks run, and no figure is far below its floor; `make bench` holds the floors."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def test_packets_are_near_their_floors_even_on_a_busy_machine(project: Path) -> None:
    script = project / "benchmarks" / "bench_packets.py"
    command = [sys.executable, str(script), "--json", "--rounds", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 6
    for row in rows:
        for peer, floor in row["floors"].items():
            assert row["ratios"][peer] > floor / 2, row


@pytest.mark.needs("root", "tcpdump")  # tcpdump changes its groups
def test_a_flood_is_captured_without_a_loss(project: Path) -> None:
    script = project / "benchmarks" / "bench_live.py"
    command = [sys.executable, str(script), "--json", "--rounds", "1", "--packets", "200000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    ours, _, verdict = [json.loads(line) for line in done.stdout.splitlines()]
    assert ours["sent"] == ours["captured"] == ours["in_file"] == 200_000
    assert ours["dropped"] == verdict["lost"] == 0


@pytest.mark.needs("tcpdump", "tshark")
def test_captures_are_measured_beside_tcpdump_and_tshark(project: Path) -> None:
    script = project / "benchmarks" / "bench_captures.py"
    options = ["--json", "--kept", "--rounds", "1", "--packets", "20000"]
    command = [sys.executable, str(script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 11
    # So few packets say nothing of rates, but of memory.
    assert [row["ratio"] > 1 for row in rows if row["name"].startswith("memory")] == [True]


@pytest.mark.needs("namespaces", "ss")
def test_sockets_are_listed_beside_ss(project: Path) -> None:
    script = project / "benchmarks" / "bench_ss.py"
    command = [sys.executable, str(script), "--json", "--rounds", "3", "--sockets", "4000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    *rows, numpy = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 14
    assert numpy == {"name": "numpy is loaded", "loaded": False, "ok": True}
    # A fifth of the sockets that the limits are for, on a machine that does other things too.
    (library,) = (row for row in rows if row["limit"] == 0.5)
    assert library["ratio"] < 1.2, library


# Only root may see how much a process has written that has ended.
@pytest.mark.needs("root", "nc.openbsd", "ncat", "socat", "openssl")
def test_octets_are_moved_beside_the_other_netcats(project: Path) -> None:
    script = project / "benchmarks" / "bench_nc.py"
    options = ["--json", "--rounds", "1", "--gib", "0.0625"]
    options += ["--connections", "2000", "--clients", "1000"]
    command = [sys.executable, str(script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 14
    # So few octets say nothing of rates, but each client has had its echo in little memory.
    (clients,) = (row for row in rows if row["name"] == "1000 clients")
    assert clients["ok"]


@pytest.mark.needs("namespaces", "nmap", "masscan", "nft")
def test_ports_are_scanned_beside_nmap_and_masscan(project: Path) -> None:
    script = project / "benchmarks" / "bench_scan.py"
    options = ["--json", "--ports", "2000", "--rounds", "1", "--lossy", "2", "--patience", "4"]
    options += ["--udp", "6", "--hosts", "20", "--prefix", "22"]
    options += ["--only", "syn", "connect", "lossy", "silent", "udp", "memory"]
    command = [sys.executable, str(script), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in (0, 1), done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    # So few ports say nothing of times, but none is missed and nothing is made up.
    counted = [row for row in rows if "missed in" in row["name"] or "false in" in row["name"]]
    assert len(counted) == 8
    assert all(row["ours"] == 0 for row in counted), counted
    (memory,) = (row for row in rows if row["unit"] == "MB")
    assert memory["ok"]
