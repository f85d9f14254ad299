from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.identify.matching import match
from sockwright.identify.signature import Expectation, Provenance, Signature

if TYPE_CHECKING:
    from sockwright.identify.signature import Traits, Value

_PROVENANCE = Provenance("published", "a test")

# 21.8 bits in all.
_SEEN: Traits = {
    "syn_ack.ttl": 64,
    "syn_ack.window": 65160,
    "syn_ack.options": "mss,sok,ts,nop,ws",
    "syn_ack.scale": 7,
    "seq.clock": 1000,
    "seq.clock_value": 5000,
    "seq.spread": 32,
    "id.open": "zero",
    "id.icmp": "incremental",
    "t3.flags": "none",
    "t7.flags": "RA",
    "ie.code": "same",
    "u1.length": 356,
}


def _signature(
    name: str,
    tests: dict[str, Value | Expectation],
    *,
    versions: tuple[str, ...] = (),
    family: str = "",
    clock_from_boot: bool = False,
) -> Signature:
    expected = {
        test: value if isinstance(value, Expectation) else Expectation((value,))
        for test, value in tests.items()
    }
    return Signature(
        name,
        family or name.split(maxsplit=1)[0],
        _PROVENANCE,
        expected,
        versions,
        clock_from_boot=clock_from_boot,
    )


def _all(**changed: Value | Expectation) -> dict[str, Value | Expectation]:
    tests: dict[str, Value | Expectation] = {
        test: value for test, value in _SEEN.items() if test != "seq.clock_value"
    }
    for name, value in changed.items():
        group, _, test = name.rpartition("_")
        tests[f"{group}.{test}"] = value
    return tests


def test_full_agreement_is_sure() -> None:
    found = match(_SEEN, [_signature("A 1", _all())])
    assert (found.best, found.family) == ("A 1", "A")
    assert found.confidence == 0.99
    assert not found.candidates[0].failed


def test_a_signature_of_few_tests_is_never_sure() -> None:
    sparse = {test: _SEEN[test] for test in ("syn_ack.ttl", "syn_ack.options")}
    found = match(_SEEN, [_signature("A 1", dict(sparse))])
    assert found.confidence < 0.2
    assert found.best == "unknown"


def test_a_relative_of_which_much_fails_is_not_claimed() -> None:
    other = _all(id_open="random", t3_flags="SA", u1_length=56, ie_code="zero")
    found = match(_SEEN, [_signature("A 1", other)])
    assert found.confidence < 0.5


def test_the_weights_of_matched_and_failed_tests_are_told() -> None:
    found = match(_SEEN, [_signature("A 1", _all(id_open="random", dhcp_vendor="x"))])
    (candidate,) = found.candidates
    assert [verdict.test for verdict in candidate.failed] == ["id.open"]
    assert candidate.failed[0].weight < 0
    assert candidate.failed[0].expected == "random"
    assert candidate.failed[0].found == "zero"
    assert candidate.matched[0].test == "syn_ack.options"
    assert candidate.untested == ("dhcp.vendor",)
    weights = [verdict.weight for verdict in (*candidate.matched, *candidate.failed)]
    assert round(sum(weights), 6) == round(candidate.evidence, 6)


def test_rivals_divide_the_answer() -> None:
    found = match(_SEEN, [_signature("A 1", _all()), _signature("B 1", _all())])
    assert found.confidence < 0.55
    assert [round(one.score, 2) for one in found.candidates] == [0.5, 0.5]


def test_versions_that_no_test_tells_apart_become_a_range() -> None:
    found = match(
        _SEEN,
        [
            _signature("A 6.1-6.12", _all(), versions=("6.1", "6.12")),
            _signature("A 6.9", _all(), versions=("6.9", "6.9")),
        ],
    )
    assert found.best == "A 6.1-6.12"
    assert found.confidence == 0.99


def test_an_older_version_that_nothing_excludes_is_not_forgotten() -> None:
    sparse: dict[str, Value | Expectation] = {
        "syn_ack.ttl": 64,
        "syn_ack.options": "mss,sok,ts,nop,ws",
    }
    measured = _signature("A 6.1", _all(), versions=("6.1", "6.1"))
    found = match(_SEEN, [measured, _signature("A 4.20-6.x", sparse, versions=("4.20", "6.x"))])
    assert found.best == "A 4.20-6.x"
    assert found.candidates[0].name == "A 6.1"


def test_a_version_that_a_test_excludes_is_left_out() -> None:
    sparse: dict[str, Value | Expectation] = {
        "syn_ack.window": 5792,
        "syn_ack.options": "mss,sok,ts,nop,ws",
    }
    measured = _signature("A 6.1", _all(), versions=("6.1", "6.1"))
    found = match(_SEEN, [measured, _signature("A 2.4", sparse, versions=("2.4", "2.4"))])
    assert found.best == "A 6.1"


def test_a_changed_setting_speaks_against_a_system() -> None:
    by_settings = _all(syn_ack_scale=Expectation((10,), (7,)))
    found = match(_SEEN, [_signature("A 1", by_settings)])
    (candidate,) = found.candidates
    assert [verdict.test for verdict in candidate.by_settings] == ["syn_ack.scale"]
    assert candidate.by_settings[0].weight == -1.5
    assert found.best == "A 1"


def test_a_changed_setting_is_assumed_once_for_all_that_it_changes() -> None:
    tests = ("syn_ack.ttl", "t5.ttl", "t7.ttl", "u1.ttl")
    seen: Traits = {**_SEEN, **dict.fromkeys(tests, 128)}
    signature = _all() | dict.fromkeys(tests, Expectation((64,), (128,)))
    (candidate,) = match(seen, [_signature("A 1", signature)]).candidates
    assert sorted(verdict.weight for verdict in candidate.by_settings) == [-1.5, 0, 0, 0]


def test_many_relatives_that_know_little_are_no_surer_than_one() -> None:
    few: dict[str, Value | Expectation] = {
        test: _SEEN[test] for test in ("syn_ack.ttl", "syn_ack.options", "syn_ack.window")
    }
    versions = [_signature(f"A {n}", dict(few), versions=(str(n), str(n))) for n in range(9)]
    alone, together = match(_SEEN, versions[:1]), match(_SEEN, versions)
    assert together.best == "A 0-8"
    assert abs(together.confidence - alone.confidence) < 0.01


def test_small_facts_do_not_add_up_to_a_sure_answer() -> None:
    tests = ("syn_ack.options", "syn_ack.window")  # what weighs three bits and more
    small: Traits = {test: value for test, value in _SEEN.items() if test not in tests}
    more: Traits = {f"t{n}.flags": "R" for n in range(2, 8)} | {f"t{n}.df": True for n in (5, 6)}
    found = match({**small, **more}, [_signature("A 1", {**small, **more})])
    assert found.candidates[0].evidence > 15
    assert 0.5 < found.confidence <= 0.6


def test_what_is_less_likely_than_not_is_not_named() -> None:
    few: dict[str, Value | Expectation] = {
        test: _SEEN[test] for test in ("syn_ack.scale", "syn_ack.options", "syn_ack.window")
    }
    found = match(_SEEN, [_signature("A 1", few), _signature("B 1", dict(few))])
    assert (found.best, found.family, found.stands_for) == ("unknown", "", ())
    assert [round(one.score, 2) for one in found.candidates] == [0.33, 0.33]


def test_the_answer_names_what_it_stands_for() -> None:
    versions = [_signature(f"A {n}", _all(), versions=(str(n), str(n))) for n in (1, 2)]
    other = _signature("A 3", _all(syn_ack_scale=2, ie_code="zero"), versions=("3", "3"))
    assert match(_SEEN, [*versions, other]).stands_for == ("A 1", "A 2")


def test_nothing_measured_names_nothing() -> None:
    found = match({}, [_signature("A 1", _all())])
    assert (found.best, found.confidence) == ("unknown", 0)
    assert found.uptime_ns is None


def test_without_signatures_nothing_is_named() -> None:
    assert match(_SEEN, []).best == "unknown"


def test_an_uptime_is_told_only_of_clocks_that_count_from_the_start() -> None:
    told = match(_SEEN, [_signature("A 1", _all(), clock_from_boot=True)])
    assert told.uptime_ns == 5_000_000_000
    silent = match(_SEEN, [_signature("A 1", _all())])
    assert silent.uptime_ns is None
    assert "4.10" in silent.why_no_uptime


def test_random_timestamps_forbid_an_uptime_whatever_the_system() -> None:
    seen: Traits = {**_SEEN, "seq.clock": "random"}
    found = match(seen, [_signature("A 1", _all(seq_clock="random"), clock_from_boot=True)])
    assert found.uptime_ns is None
    assert "random" in found.why_no_uptime


def test_the_explanation_names_what_agrees_and_what_fails() -> None:
    told = match(_SEEN, [_signature("A 1", _all(id_open="random"))]).explain()
    assert "fails (-3.0): id.open is zero, expected random" in told
    assert "not made" not in told
    assert "at most" not in told
    assert "syn_ack.options" in told
    assert "No uptime" in told


def test_all_of_it_goes_into_json() -> None:
    import json

    row = json.loads(json.dumps(match(_SEEN, [_signature("A 1", _all())], host="h").as_dict()))
    assert row["host"] == "h"
    assert row["candidates"][0]["matched"][0]["test"] == "syn_ack.options"
    assert row["measured"]["u1.length"] == 356
