from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from sockwright.errors import FileRefusedError, UsageError
from sockwright.identify.active.numbers import growth_of_sequence
from sockwright.identify.database import load_signatures, user_folder
from sockwright.identify.learning import expect, file_name, save
from sockwright.identify.signature import Expectation, Provenance, Signature

if TYPE_CHECKING:
    from pathlib import Path

    from sockwright.identify.signature import Traits

_SEEN: Traits = {
    "syn_ack.ttl": 64,
    "syn_ack.mss": 1460,
    "syn_ack.window": 65160,
    "syn_ack.options": "mss,sok,ts,nop,ws",
    "seq.gcd": 1,
    "seq.rate": 31,
    "seq.spread": 32,
    "seq.clock_value": 12345,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "sockwright" / "signatures"


def _signature(name: str = "Teapot 418") -> Signature:
    return Signature(name, "Teapot", Provenance("learned", "a test"), expect([_SEEN]))


def test_a_window_becomes_a_multiple_of_the_segment_size() -> None:
    assert expect([_SEEN])["syn_ack.window"] == Expectation(("payload*45",))
    without: Traits = {**_SEEN, "syn_ack.options": "mss", "syn_ack.window": 64240}
    assert expect([without])["syn_ack.window"] == Expectation(("mss*44",))
    odd: Traits = {**_SEEN, "syn_ack.window": 8192}
    assert expect([odd])["syn_ack.window"] == Expectation((8192,))


def test_what_is_never_the_same_twice_becomes_a_range() -> None:
    tests = expect([_SEEN, {**_SEEN, "seq.rate": 33, "seq.gcd": 2}])
    assert tests["seq.rate"] == Expectation(("26..36",))
    assert tests["seq.gcd"] == Expectation(("1..9",))
    clock: Traits = {**_SEEN, "seq.rate": 19, "seq.spread": 0}
    tests = expect([clock, {**clock, "seq.rate": 20}])
    assert (tests["seq.rate"], tests["seq.spread"]) == (
        Expectation(("17..22",)),
        Expectation(("0..2",)),
    )


def test_numbers_taken_at_random_are_within_what_is_expected_of_them() -> None:
    expected = {test: expect([_SEEN])[test] for test in ("seq.rate", "seq.spread")}
    for seed in range(5000):
        chance = random.Random(seed)
        growth = growth_of_sequence(
            [chance.randrange(1 << 32) for _ in range(6)], [n * 0.11 for n in range(6)]
        )
        assert growth is not None
        assert expected["seq.rate"].usual[0] == expected["seq.spread"].usual[0] == "26..36"
        assert 26 <= min(growth.rate, growth.spread) <= max(growth.rate, growth.spread) <= 36


def test_a_divisor_that_is_a_rule_stays() -> None:
    assert expect([{**_SEEN, "seq.gcd": 64000}])["seq.gcd"] == Expectation((64000,))


def test_what_depends_on_the_link_or_the_moment_is_left_out() -> None:
    tests = expect([_SEEN])
    assert "syn_ack.mss" not in tests
    assert "seq.clock_value" not in tests


def test_other_settings_stand_apart() -> None:
    tests = expect([_SEEN], [{**_SEEN, "syn_ack.ttl": 128}, _SEEN])
    assert tests["syn_ack.ttl"] == Expectation((64,), (128,))


def test_what_was_saved_is_loaded(folder: Path) -> None:
    path = save(_signature())
    assert path == folder / "teapot-418.toml"
    assert user_folder() == folder
    assert _signature() in load_signatures()
    assert _signature() not in load_signatures(learned=False)


def test_nothing_is_written_over_unless_that_is_said(folder: Path) -> None:
    path = save(_signature())
    before = path.read_text()
    with pytest.raises(FileRefusedError, match="--replace"):
        save(_signature("Teapot  418"))
    assert path.read_text() == before
    save(_signature("TEAPOT 418"), replace=True)
    assert "TEAPOT 418" in path.read_text()
    assert [one.name for one in folder.iterdir()] == ["teapot-418.toml"]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Acme OS 1.2", "acme-os-1.2.toml"),
        ("../../etc/passwd", "etc-passwd.toml"),
        ("a/b", "a-b.toml"),
        ("Ünix", "nix.toml"),
        ("x" * 500, "x" * 80 + ".toml"),
    ],
)
def test_a_name_makes_a_file_in_that_folder_and_nowhere_else(name: str, file: str) -> None:
    assert file_name(name) == file


def test_a_name_without_a_letter_is_refused() -> None:
    with pytest.raises(UsageError):
        file_name("...")
