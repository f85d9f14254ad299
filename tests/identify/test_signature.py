from __future__ import annotations

import pytest

from sockwright.identify.database import load_signatures
from sockwright.identify.observables import GROUPS, OBSERVABLES
from sockwright.identify.signature import (
    Expectation,
    Provenance,
    Signature,
    SignatureError,
    to_signatures,
    to_toml,
)

_TEXT = """
[[signature]]
name = "Example 1"
family = "Example"
versions = ["1", "2"]

[signature.provenance]
kind = "published"
source = "a book"
date = 2026-01-02

[signature.syn_ack]
ttl = { usual = 64, other = [128, 255] }
window = ["mss*4", "10..20"]
df = true
"""


def _one(text: str = _TEXT) -> Signature:
    (signature,) = to_signatures(text, "example.toml")
    return signature


def test_a_signature_is_read_with_its_provenance() -> None:
    signature = _one()
    assert signature.name == "Example 1"
    assert signature.versions == ("1", "2")
    assert signature.provenance == Provenance("published", "a book", "2026-01-02")
    assert signature.tests["syn_ack.ttl"] == Expectation((64,), (128, 255))


def test_what_is_written_is_read_again() -> None:
    signature = _one()
    assert to_signatures(to_toml([signature], "a remark"), "again") == [signature]


def test_every_signature_of_the_package_is_read_again_as_it_was() -> None:
    signatures = load_signatures(learned=False)
    assert len(signatures) > 20
    assert to_signatures(to_toml(signatures), "again") == signatures


@pytest.mark.parametrize(
    ("expected", "value", "beside", "agreement"),
    [
        (Expectation((64,), (128,)), 64, {}, "usual"),
        (Expectation((64,), (128,)), 128, {}, "other"),
        (Expectation((64,), (128,)), 255, {}, "none"),
        (Expectation((True,)), 1, {}, "none"),
        (Expectation((1,)), True, {}, "none"),
        (Expectation(("none",)), "none", {}, "usual"),
        (Expectation(("10..20",)), 20, {}, "usual"),
        (Expectation(("10..20",)), 21, {}, "none"),
        (Expectation(("10..20",)), "15", {}, "none"),
        (Expectation(("mss*44",)), 64240, {"mss": 1460}, "usual"),
        (Expectation(("mss*44",)), 64240, {}, "none"),
        (Expectation(("payload*45",)), 65160, {"mss": 1460}, "usual"),
        (Expectation(("mss*4",)), 5600, {"mss": 1460, "peer_mss": 1400}, "usual"),
        (Expectation(("mtu*4",)), 6000, {"mss": 1460}, "usual"),
        (Expectation(("~^Apache/2",)), "Apache/2.4", {}, "usual"),
        (Expectation(("~^Apache/2",)), "nginx", {}, "none"),
    ],
)
def test_a_value_agrees_as_the_expectation_says(
    expected: Expectation, value: int | str, beside: dict[str, int], agreement: str
) -> None:
    assert expected.agreement(value, dict(beside)) == agreement


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[[signature]]", "[[signature]", "example.toml"),
        ('name = "Example 1"', "", "needs a name"),
        ("ttl =", "tll =", "syn_ack.tll is no test"),
        ("syn_ack]", "synack]", "synack is no group"),
        ('kind = "published"', 'kind = "guessed"', "provenance"),
        ("usual = 64, ", "", "usual"),
        ("df = true", "df = 1.5", "1.5"),
        ("df = true", 'df = "~("', "~("),
        ('versions = ["1", "2"]', 'versions = ["1"]', "lowest and the highest"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(old: str, new: str, told: str) -> None:
    with pytest.raises(SignatureError) as caught:
        _one(_TEXT.replace(old, new, 1))
    assert told in str(caught.value)
    assert "example.toml" in str(caught.value)


def test_every_test_has_a_weight_and_a_meaning() -> None:
    assert set(OBSERVABLES) == {f"{group}.{name}" for group in GROUPS for name in GROUPS[group]}
    for test, observable in OBSERVABLES.items():
        assert 0 < observable.weight <= 16, test
        assert observable.meaning, test


def test_names_with_quotes_and_control_characters_survive() -> None:
    signature = Signature('a "b"\n\\c', "a", Provenance("learned", "\x1b[31m"), {})
    assert to_signatures(to_toml([signature]), "again") == [signature]
