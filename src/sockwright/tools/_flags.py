"""The flags of a verb, for verbs that are over before argparse would be imported.

argparse takes longer to import than nc takes to connect, and nmap to scan a host of one's own. It
takes the -1 of ``-q -1`` for a flag, since there are -4 and -6, and does not know ``-sSU``. So a
line is read here, as getopt_long(3) does, and argparse makes the help of the same table. Values are
kept as the texts that they are.
"""

from __future__ import annotations

from sockwright.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import Any

    Flag = tuple[str, str, str, str]  # names, attribute, value, meaning
    Group = tuple[str, str, tuple[Flag, ...]]  # title, what is said below that, flags

__all__ = ["Arguments", "Flags"]


class Arguments:
    """What the words of a line say: texts for flags with a value, None where it is not there.

    Flags without a value are True or False, those of `Flags.several` lists, those of
    `Flags.counted` numbers. `words` are what is no flag, `absent` the flags that the verb has not,
    `mistake` what is wrong, to be raised where errors are told.
    """

    def __init__(self, flags: Flags) -> None:
        self.words: list[str] = []
        self.json = False
        self.absent: list[str] = []
        self.mistake: UsageError | None = None
        for _, _, group in flags.groups:
            for _, name, metavar, _ in group:
                setattr(self, name, None if metavar else 0 if name in flags.counted else False)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...


class Flags:
    """The table of a verb, as class attributes, and one line that is read by it.

    `groups` have a title, what is said below that, and flags: names, the attribute, what stands for
    the value ("" for none), the meaning. Names in brackets are known, not shown. `absent` is what
    the programs that the verb stands in for have besides: names, what stands for the value, and why
    it is not here. `operands` is what words that are no flags are called in the help.

    Of attributes, those `several` gather their values and those `counted` count; of two values of
    one in `once` the last would win without a word, and what the first asks for would not be done.
    A value that is called as in `files` is no flag by accident.
    """

    usage: str
    operands: str
    groups: tuple[Group, ...]
    absent: tuple[tuple[str, str, str], ...] = ()
    several: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset({"verbose"})
    once: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    alike = 0.7  # of 1, difflib's ratio: a letter that is wrong, or two that are swapped

    def __init__(self, words: Sequence[str] = ()) -> None:
        self._words = words
        self._rest = iter(words)
        self._found = Arguments(self)
        self._known = self._names()

    def shown(self) -> Iterator[Group]:
        """Yield the groups of this verb, for one that shares the table of another."""
        yield from self.groups

    # -- reading a line -------------------------------------------------------------------------

    def read(self) -> Arguments | None:
        """Read the line; None where it asks for help, which argparse gives."""
        found = self._found
        try:
            for word in self._rest:
                if word == "--":
                    found.words += self._rest
                elif word == "-" or not word.startswith("-"):
                    found.words.append(word)
                elif word in {"-h", "--help"}:
                    return None
                elif word == "--json":
                    found.json = True
                elif word.startswith("--"):
                    self._read_word(*word.partition("="))
                else:
                    self._read_letters(word)
        except UsageError as error:
            found.mistake = error
            if "--help" in self._words or "-h" in self._words:
                return None
        return found

    def _read_word(self, name: str, equals: str, value: str) -> None:
        """Read ``--name``, ``--name value`` or ``--name=value``."""
        if name not in self._known:
            raise UsageError(f"there is no flag {name}" + self._meant(name))
        metavar = self._known[name][1]
        if equals and not metavar:
            raise UsageError(f"{name} takes no value, and {value!r} is one")
        self._keep(name, self._value(name, value, given=bool(equals)) if metavar else "")

    def _read_letters(self, word: str) -> None:
        """Read ``-abc``, the last of which may have its value behind it, or in the next word."""
        for index, letter in enumerate(word[1:], 2):
            name = f"-{letter}"
            if name not in self._known:
                among = f" (in {word})" if len(word) > 2 else ""
                raise UsageError(f"there is no flag {name}{among}" + self._meant(f"-{word}"))
            if self._known[name][1]:
                rest = word[index:]
                self._keep(name, self._value(name, rest.removeprefix("="), given=bool(rest)))
                return
            self._keep(name)

    def _value(self, name: str, value: str, *, given: bool) -> str:
        """Return the value of a flag: `value` if it is given, else the next word: ``-q -1``."""
        metavar = self._known[name][1]
        if not given:
            following = next(self._rest, None)
            if following is None:
                raise UsageError(f"{name} wants a value: {name} {metavar}")
            value = following
        if not value:
            raise UsageError(f"the value of {name} is empty: {name} {metavar}")
        if not given and metavar in self.files and value.startswith("-") and value != "-":
            raise UsageError(f"{name} wants a value, and {value} is a flag; ./{value} is a file")
        return value

    def _keep(self, flag: str, value: str = "") -> None:
        """Keep what `flag` says. Raises: UsageError: it stands twice."""
        found, name = self._found, self._known[flag][0]
        before: Any = getattr(found, name, None)
        if name in self.once and before is not None:
            raise UsageError(f"{flag} stands twice, {before!r} and {value!r}: choose one")
        if name.startswith("-"):
            found.absent.append(name)
        elif name in self.several:
            setattr(found, name, [*(before or ()), value])
        elif name in self.counted:
            setattr(found, name, before + 1)
        else:
            setattr(found, name, value or True)

    def _meant(self, name: str) -> str:
        """Return what may have been meant by a flag that is none, to stand behind that."""
        if name == "--version":
            return "; sw --version tells it"
        from difflib import get_close_matches

        # Without the dashes, which all have in common.
        words = [
            one[2:]
            for one, (attribute, _) in self._known.items()
            if one.startswith("--") and not attribute.startswith("-")
        ]
        close = get_close_matches(name[2:], words, 1, self.alike)
        return f"; --{close[0]} is one" if close else ""

    def _names(self) -> dict[str, tuple[str, str]]:
        """Return by each name of a flag its attribute, and what stands for its value.

        What is absent is its own attribute: no other begins with a dash.
        """
        known: dict[str, tuple[str, str]] = {}
        for _, _, flags in self.shown():
            for names, attribute, metavar, _ in flags:
                for name in names.replace("[", "").replace("]", "").split():
                    known[name] = (attribute, metavar)
        for names, metavar, _ in self.absent:
            for name in names.split():
                known[name] = (name, metavar)
        return known

    # -- the help -------------------------------------------------------------------------------

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Add all of them to `parser`, for its help and for completion."""
        from argparse import SUPPRESS

        parser.usage = self.usage
        for title, told, flags in self.shown():
            group = parser.add_argument_group(title, told or None)
            for names, name, metavar, meaning in flags:
                shown, _, hidden = names.partition("[")
                how: dict[str, Any] = {"action": "store_true"}
                if name in self.counted:
                    how = {"action": "count", "default": 0}
                elif metavar:
                    action = "append" if name in self.several else "store"
                    how = {"metavar": metavar, "action": action}
                if shown:
                    group.add_argument(*shown.split(), dest=name, help=meaning, **how)
                if hidden:
                    how.pop("metavar", None)
                    group.add_argument(*hidden.rstrip("]").split(), dest=name, help=SUPPRESS, **how)
        parser.add_argument("words", nargs="*", metavar=self.operands, help=SUPPRESS)
