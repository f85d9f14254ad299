"""The public names of `sockwright.nc`, and what loading them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sockwright
from sockwright import nc


def test_every_public_name_loads() -> None:
    assert sockwright.nc is nc
    for name in nc.__all__:
        assert getattr(nc, name) is not None
    assert {*nc.__all__, "aio"} == set(dir(nc))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        nc.nonsense  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("code", "never"),
    [
        ("import sockwright.nc", {"socket", "asyncio", "ssl", "dataclasses", "subprocess"}),
        (
            "from sockwright import nc; nc.connect; nc.connect('discard:').close()",
            {"asyncio", "ssl", "cryptography", "numpy", "subprocess", "rich", "prompt_toolkit"},
        ),
    ],
)
def test_little_is_loaded(code: str, never: set[str]) -> None:
    command = [sys.executable, "-I", "-c", f"{code}; import sys; print(*sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert not never & set(done.stdout.split())
