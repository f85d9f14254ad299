"""Measure the systems at hand and write their signatures: `python -m tests.identify.measure`.

It makes each system of systems.py, asks it by default and under other settings, over
IPv4 and IPv6, and writes src/sockwright/identify/data/measured-*.toml. Kernels that no test tells
apart become one signature. Beside it, one conversation with each system goes to
tests/vectors/identify/, which the tests hear again. With an argument, an interpreter that has
PyTCP, that stack is measured, too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.identify.asking import VECTORS, ask_system, record
from tests.identify.systems import (
    OPEN_PORT,
    ROOT,
    DebianKernel,
    Here,
    LwIP,
    PyTCP,
    Slirp,
    System,
    kernel_package,
)

from sockwright.identify.learning import expect
from sockwright.identify.signature import Provenance, Signature, to_signatures, to_toml

if TYPE_CHECKING:
    from sockwright.identify.signature import Expectation, Traits

HOW = "python -m tests.identify.measure"
METAPACKAGES = ("linux-image-amd64", "linux-image-6.12-amd64")
RUNS = 3  # of the default settings

# What people and distributions change. Each is set alone, and set back.
SETTINGS: tuple[dict[str, str], ...] = (
    {"net.ipv4.tcp_timestamps": "0"},
    {"net.ipv4.tcp_timestamps": "2"},
    {"net.ipv4.tcp_sack": "0"},
    {"net.ipv4.tcp_window_scaling": "0"},
    {"net.ipv4.tcp_ecn": "0"},
    {"net.ipv4.tcp_ecn": "1"},
    {"net.ipv4.ip_default_ttl": "128"},
    {"net.ipv4.ip_default_ttl": "255"},
    {"net.ipv4.tcp_rmem": "4096 87380 1000000"},
    {"net.ipv4.tcp_rmem": "4096 131072 6291456"},
    {"net.ipv4.tcp_rmem": "4096 131072 16777216"},
    {"net.ipv4.tcp_rmem": "4096 131072 33554432"},
    {"net.ipv4.tcp_rmem": "4096 16384 262144"},
    {"net.ipv4.tcp_syncookies": "2"},
    {"net.ipv4.icmp_echo_ignore_all": "1"},
    {"mtu": "1400"},
    {"mtu": "1280"},
    {"mtu": "9000"},
    {"mtu": "65520"},
)


@dataclass
class Measured:
    """What one system gave: by default, and under other settings."""

    system: System
    usual: list[Traits] = field(default_factory=list)
    other: list[Traits] = field(default_factory=list)

    @property
    def tests(self) -> dict[str, Expectation]:
        """What to expect of it."""
        return expect(self.usual, self.other)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def measure(system: System, settings: tuple[dict[str, str], ...], vector: str) -> Measured:
    """Ask one system again and again."""
    measured = Measured(system)
    with system:
        _say(system.source)
        hosts = [("4", system.ipv4), *([("6", system.ipv6)] if system.ipv6 else [])]
        for run in range(RUNS):
            for version, host in hosts:
                traits, said = ask_system(system, host, OPEN_PORT)
                measured.usual.append(traits)
                if run == 0:
                    VECTORS.mkdir(parents=True, exist_ok=True)
                    record(VECTORS / f"{vector}-ipv{version}.pcap", said)
        for setting in settings:
            before = {name: system.setting(name) for name in setting}
            system.configure(setting)
            _say(f"  {setting}")
            measured.other += [ask_system(system, host, OPEN_PORT)[0] for _, host in hosts]
            system.configure(before)
    return measured


def to_signature(group: list[Measured], family: str, device: str) -> Signature:
    """Make one signature of systems that are alike."""
    versions = [one.system.version for one in group]
    versions.sort(key=lambda version: [int(part) for part in version.split(".")])
    low, high = versions[0], versions[-1]
    usual = [traits for one in group for traits in one.usual]
    other = [traits for one in group for traits in one.other]
    tests = expect(usual, other)
    for test in group[0].system.of_its_age:
        tests.pop(test, None)
    return Signature(
        name=f"{family} {low}" if low == high else f"{family} {low}-{high}",
        family=family,
        provenance=Provenance(
            "measured",
            "; ".join(one.system.source for one in group),
            datetime.now(UTC).date().isoformat(),
            HOW,
        ),
        tests=tests,
        versions=(low, high),
        device=device,
    )


def alike(first: Measured, second: Measured) -> bool:
    """Tell whether nothing tells two systems apart by default."""
    one, two = first.tests, second.tests
    return {test: set(one[test].usual) for test in one if ".." not in str(one[test])} == {
        test: set(two[test].usual) for test in two if ".." not in str(two[test])
    }


def main() -> None:
    """Measure all, write all."""
    here = Here()
    kernels = [measure(here, SETTINGS, f"linux-{here.version}")]
    for metapackage in METAPACKAGES:
        package = kernel_package(metapackage)
        if package is None:
            _say(f"{metapackage}: apt knows no such kernel")
            continue
        kernel = DebianKernel(package)
        kernels.append(measure(kernel, SETTINGS, f"linux-{kernel.version}"))
    groups: list[list[Measured]] = []
    for one in kernels:
        for group in groups:
            if alike(group[0], one):
                group.append(one)
                break
        else:
            groups.append([one])
    data = ROOT / "src" / "sockwright" / "identify" / "data"
    signatures = [to_signature(group, "Linux", "general purpose") for group in groups]
    remark = f"Measured by {HOW}, which writes this file. Kernels alike stand together."
    (data / "measured-linux.toml").write_text(to_toml(signatures, remark))
    stacks: list[tuple[System, str, str]] = [
        (LwIP(), "lwip", "embedded"),
        (Slirp(), "libslirp", "virtual network"),
    ]
    if len(sys.argv) > 1:
        stacks.append((PyTCP(sys.argv[1]), "pytcp", "program"))
    path = data / "measured-stacks.toml"
    # What cannot be measured here this time stays as it was measured before.
    known = {one.family: one for one in to_signatures(path.read_text(), path.name)}
    for system, vector, device in stacks:
        known[system.name] = to_signature([measure(system, (), vector)], system.name, device)
    remark = f"Stacks that run in programs, measured by {HOW}, which writes this file."
    path.write_text(to_toml(known.values(), remark))


if __name__ == "__main__":
    main()
