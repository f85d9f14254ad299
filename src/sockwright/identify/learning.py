"""Make a signature of what was measured, and keep those that a user learns."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from sockwright.errors import FileRefusedError, UsageError
from sockwright.identify.database import user_folder
from sockwright.identify.observables import OBSERVABLES
from sockwright.identify.signature import Expectation, to_toml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sockwright.identify.signature import Signature, Traits, Value

__all__ = ["check_free", "expect", "file_name", "save"]

_MEASURED: Final = ("seq.rate", "seq.spread")  # of random numbers or clocks: never the same twice
_OF_THE_LINK: Final = ("syn_ack.mss",)
_LEAST_DIVISOR: Final = 10  # what is below is a chance of the numbers, no rule
_OF_TIMESTAMPS: Final = 12  # octets in each segment
_RANDOM: Final = 28  # bits of the rate or spread of sequence numbers that are chosen at random
_BUSY: Final = 2  # powers of two by which a busy machine, here or there, changes them
_BY_CHANCE: Final = "26..36"  # what such numbers give, but for two series of 10 000 with a gap


def expect(usual: Sequence[Traits], other: Sequence[Traits] = ()) -> dict[str, Expectation]:
    """Return what to expect of a system that gave `usual` by default, `other` by settings.

    Values that differ from time to time become ranges, windows multiples of the segment size, and
    what depends on the link is left out.
    """
    found: dict[str, Expectation] = {}
    for test in OBSERVABLES:
        if test in _OF_THE_LINK:
            continue
        values = [_general(test, traits) for traits in usual if test in traits]
        if not values:
            continue
        changed = [_general(test, traits) for traits in other if test in traits]
        numbers = [value for value in values if isinstance(value, int)]
        if test in _MEASURED:
            if max(numbers) >= _RANDOM:
                found[test] = Expectation((_BY_CHANCE,))
            else:
                low, high = max(0, min(numbers) - _BUSY), max(numbers) + _BUSY
                if test == "seq.spread" and low <= _BUSY:
                    low = 0  # of an even clock it is as small as the probes are evenly sent
                found[test] = Expectation((f"{low}..{high}",))
            continue
        if test == "seq.gcd" and 0 < max(numbers) < _LEAST_DIVISOR:
            found[test] = Expectation((f"1..{_LEAST_DIVISOR - 1}",))
            continue
        common = tuple(dict.fromkeys(values))
        rest = tuple(dict.fromkeys(value for value in changed if value not in common))
        found[test] = Expectation(common, rest)
    return found


def _general(test: str, traits: Traits) -> Value:
    """Return a value as a signature states it: a window as a multiple of the segment size."""
    value = traits[test]
    group, _, name = test.partition(".")
    mss = traits.get(f"{group}.mss")
    if not name.startswith("window") or not isinstance(value, int) or not isinstance(mss, int):
        return value
    with_timestamps = "ts" in str(traits.get(f"{group}.options", "")).split(",")
    size = mss - _OF_TIMESTAMPS if with_timestamps else mss
    if value and value % size == 0:
        return f"{'payload' if with_timestamps else 'mss'}*{value // size}"
    return value


def file_name(name: str) -> str:
    """Return the file that a learned signature of this name is kept in.

    Raises: `UsageError` for a name without a letter or digit.
    """
    plain = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")
    if not plain:
        raise UsageError(f"a signature needs a name with letters or digits, not {name!r}")
    return f"{plain[:80]}.toml"


def check_free(name: str, *, replace: bool = False) -> Path:
    """Return the file for a learned signature.

    Raises:
        FileRefusedError: it is there already, and `replace` was not said.
        UsageError: the name makes no file.
    """
    path = user_folder() / file_name(name)
    if path.exists() and not replace:
        raise FileRefusedError(
            f"there is a signature of that name already, {path}; --replace writes it anew"
        )
    return path


def save(signature: Signature, *, replace: bool = False) -> Path:
    """Write a learned signature into the user's folder; return the file.

    Raises:
        FileRefusedError: there is one of that name already, and `replace` was not said.
        OSError: the folder cannot be made, or the file not written.
    """
    path = check_free(signature.name, replace=replace)
    text = to_toml(
        [signature],
        f"The signature of {_line(signature.name)}, learned by sw os --learn.\n"
        "Every line may be edited; a list is any of its values.",
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: beside it first, then in its place.
    beside = path.with_suffix(f".{os.getpid()}.new")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            beside.replace(path)
        else:
            os.link(beside, path)  # unlike rename(2) it refuses where one has come meanwhile
            beside.unlink()
    except FileExistsError as error:
        beside.unlink(missing_ok=True)
        raise FileRefusedError(f"there is a signature of that name already, {path}") from error
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return path


def _line(text: str) -> str:
    return " ".join(text.split())
