"""Debian's kernels under QEMU, asked by `make vm-test`: each boots in some five seconds.

Not found by its name, so that `make test` leaves it out: it downloads kernels, once.
"""

from __future__ import annotations

import pytest
from tests.identify.asking import ask_system
from tests.identify.systems import OPEN_PORT, DebianKernel, kernel_package

from sockwright.identify.database import load_signatures
from sockwright.identify.matching import match

pytestmark = pytest.mark.needs("qemu-system-x86_64", "busybox", "cpio", "depmod", "xz", "root")


@pytest.mark.parametrize(
    ("metapackage", "version"), [("linux-image-amd64", ""), ("linux-image-6.12-amd64", "6.12")]
)
def test_a_kernel_of_debian_is_identified_and_nothing_else_claimed(
    metapackage: str, version: str
) -> None:
    package = kernel_package(metapackage)
    if package is None:
        pytest.skip(f"apt knows no {metapackage}")
    signatures = load_signatures(learned=False)
    with DebianKernel(package) as system:
        assert system.version == version or not version
        for host in (system.ipv4, system.ipv6):
            assert host is not None
            traits, _ = ask_system(system, host, OPEN_PORT)
            found = match(traits, signatures)
            assert found.family == "Linux", found.explain()
            assert found.confidence > 0.9
            assert not found.candidates[0].failed, found.explain()
            assert all(one.score < 0.1 for one in found.candidates if one.family != "Linux")
            without = match(traits, [one for one in signatures if one.family != "Linux"])
            assert without.confidence < 0.8, without.explain()
