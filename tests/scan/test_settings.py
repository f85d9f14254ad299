"""What may be asked of a scan: what cannot be is refused where it is said, in one sentence."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest

from sockwright.errors import SettingError, UsageError
from sockwright.scan import PRESETS, Scan, Settings
from sockwright.scan.settings import Changes

_WRONG: list[tuple[dict[str, Any], str]] = [
    ({"hosts_at_once": 0}, "hosts_at_once takes 1 or more, not 0"),
    ({"hosts_at_once": 2.5}, "hosts_at_once takes a whole number, not 2.5"),
    ({"rate": 0}, "rate takes a number above 0, not 0"),
    ({"rate": -1.0}, "rate takes a number above 0, not -1.0"),
    ({"rate": math.nan}, "rate takes a number above 0, not nan"),
    ({"rate": "fast"}, "rate takes a number above 0, not 'fast'"),
    ({"host_rate": 0.0}, "host_rate takes a number above 0, not 0.0"),
    ({"max_miss": 0.0}, "max_miss takes a number above 0, not 0.0"),
    ({"retries": -1}, "retries takes a number of 0 or more, not -1"),
    ({"retries": 1000}, "retries takes 100 at most, not 1000"),
    ({"seed": -5}, "seed takes a number of 0 or more, not -5"),
    ({"first_timeout": 0.0}, "first_timeout takes a number above 0, not 0.0"),
    ({"min_timeout": -0.1}, "min_timeout takes a number of 0 or more, not -0.1"),
    ({"max_timeout": -1.0}, "max_timeout takes a number above 0, not -1.0"),
    ({"host_timeout": 0.0}, "host_timeout takes a number above 0, not 0.0"),
    ({"patience": -1.0}, "patience takes a number of 0 or more, not -1.0"),
    ({"min_timeout": 5.0}, "min_timeout is 5 s, and max_timeout less: 3"),
    ({"service_intensity": 10}, "service_intensity takes 0 to 9, not 10"),
    ({"services": "yes"}, "services takes True or False, not 'yes'"),
    ({"traceroute": None}, "traceroute takes True or False, not None"),
    ({"discovery": "maybe"}, "discovery takes auto, none, only or list, not 'maybe'"),
    (
        {"methods": ("sin",)},
        "methods takes connect, syn, udp, ack, fin, null or xmas, not 'sin'",
    ),
    (
        {"methods": ("syn", "connect")},
        (
            "syn and connect are two methods for TCP ports; one may be asked for, with udp beside "
            "it or not"
        ),
    ),
    ({"tcp_ports": (22, 65536)}, "tcp_ports takes numbers from 0 to 65535"),
    ({"udp_ports": (-1,)}, "udp_ports takes numbers from 0 to 65535"),
    ({"tcp_ports": ("ssh",)}, "tcp_ports takes numbers from 0 to 65535"),
    ({"tcp_ports": (22, 80, 22)}, "tcp_ports has a port twice"),
]


@pytest.mark.parametrize(("given", "told"), _WRONG, ids=lambda one: str(one)[:40])
def test_what_cannot_be_is_refused_in_words(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError) as error:
        Settings(**given)
    assert str(error.value) == told
    with pytest.raises(SettingError):
        Scan("127.0.0.1", **given)


def test_methods_of_settings_are_a_tuple() -> None:
    for given in ("syn", ["syn"]):
        with pytest.raises(SettingError, match=r"methods takes a tuple of names, such as \('con"):
            Settings(methods=given)  # type: ignore[arg-type]


def test_every_setting_is_a_keyword_of_a_scan() -> None:
    of_settings = {one.name: one.type for one in fields(Settings)}
    assert of_settings.pop("methods") == "tuple[Method, ...]"  # Scan takes more for it
    changes = {name: one.__forward_arg__ for name, one in Changes.__annotations__.items()}
    assert changes == of_settings


def test_the_error_is_one_of_usage_and_of_value() -> None:
    with pytest.raises(UsageError):
        Settings(hosts_at_once=0)
    with pytest.raises(ValueError, match="hosts_at_once"):
        Settings(hosts_at_once=0)


def test_no_bound_and_every_method_may_be_asked_for() -> None:
    assert Settings(rate=None, host_rate=None, retries=0, seed=0, patience=0.0).rate is None
    for method in ("connect", "syn", "ack", "fin", "null", "xmas"):
        assert Settings(methods=(method, "udp")).methods == (method, "udp")
    assert len(Settings(tcp_ports=tuple(range(65536))).tcp_ports) == 65536
    for preset in PRESETS.values():
        Settings(
            rate=preset.rate, max_timeout=preset.max_timeout, first_timeout=preset.first_timeout
        )
