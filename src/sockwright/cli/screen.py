"""Where text goes: a terminal with colour, a terminal without, or a pipe.

Everything that a page or a table shows passes through `Screen.line`, which is where text from
outside is cleaned. rich is loaded only when styles are to be seen.
"""

from __future__ import annotations

from sockwright.cli.clean import clean
from sockwright.cli.colour import painted, wants_colour
from sockwright.cli.width import folded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from rich.console import Console

__all__ = ["Part", "Screen"]

# Text, or text with a style of rich: "bold", "red", "dim cyan" …
Part = str | tuple[str, str]

_WIDTH_OF_A_PIPE = 80


class Screen:
    """A stream that text for people is written to.

    `terminal` is whether a person looks at it, `colour` whether styles are shown, `width` how many
    columns it has (80 where it is no terminal; long lines are then left whole).
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.terminal = stream.isatty()
        self.colour = wants_colour(stream)
        self.width = _terminal_width() if self.terminal else _WIDTH_OF_A_PIPE
        self._console: Console | None = None

    def line(self, *parts: Part) -> None:
        """Write one line made of `parts`, each text or (text, style), and flush it.

        Characters that could act on the terminal are escaped; the line is not wrapped.
        """
        if not self.colour:
            text = "".join(clean(part if isinstance(part, str) else part[0]) for part in parts)
            self.stream.write(text.rstrip(" ") + "\n")
        else:
            styled = [(clean(p), "") if isinstance(p, str) else (clean(p[0]), p[1]) for p in parts]
            pieces = [piece for part in styled if (piece := painted(*part)) is not None]
            if len(pieces) == len(styled):
                self.stream.write("".join(pieces) + "\n")
            else:
                from rich.text import Text

                self._rich().print(Text.assemble(*styled), soft_wrap=True)
        self.stream.flush()

    def paragraph(self, text: str, indent: str = "", style: str = "") -> None:
        """Write `text` folded to the width, each line after `indent`."""
        for line in self.fold(text, self.width - len(indent)):
            self.line(indent, (line, style))

    def message(self, text: str) -> None:
        """Write a message in one line, which a terminal gets folded between words."""
        folds = self.terminal and len(text) > self.width
        lines = self.fold(text, self.width) if folds else (clean(text),)
        # In one piece even where PYTHONUNBUFFERED is set: other programs write there, too.
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()

    def fold(self, text: str, width: int) -> list[str]:
        """Return `text` cleaned and folded between words, in lines of at most `width` columns.

        A word is broken only where it is longer than a line (10 columns at least). No text, no
        line.
        """
        safe = clean(text)
        if not safe.isascii():
            return folded(safe, max(10, width))
        from textwrap import wrap

        return wrap(safe, max(10, width), break_on_hyphens=False)

    def code(self, source: str, indent: str = "") -> None:
        """Write Python source, highlighted where there is colour."""
        if not self.colour:
            for line in source.splitlines():
                self.line(indent + line)
            return
        from rich.syntax import Syntax

        safe = "\n".join(clean(line) for line in source.splitlines())
        text = Syntax(safe, "python", theme="ansi_dark", background_color="default").highlight(safe)
        text.rstrip()
        for piece in text.split("\n"):
            self._rich().print(indent, piece, sep="", soft_wrap=True)
        self.stream.flush()

    def octets(self, lines: bytes) -> None:
        """Write lines of ASCII that whoever made them has escaped, as they are."""
        buffer = getattr(self.stream, "buffer", None)
        if buffer is None:  # a stream of text alone, such as one in memory
            self.stream.write(lines.decode("ascii"))
        else:
            self.stream.flush()
            buffer.write(lines)
        self.stream.flush()

    def verbatim(self, text: str) -> None:
        """Write `text` that this package made itself, such as a script, as it is."""
        self.stream.write(text)
        self.stream.flush()

    def _rich(self) -> Console:
        if self._console is None:
            from rich.console import Console

            class Output(Console):
                def on_broken_pipe(self) -> None:
                    # rich would end the program here; how it ends is for the runner to say.
                    raise BrokenPipeError

            options: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
            self._console = Output(
                file=self.stream, force_terminal=True, width=self.width, **options
            )
        return self._console


def _terminal_width() -> int:
    from shutil import get_terminal_size

    return max(20, get_terminal_size((_WIDTH_OF_A_PIPE, 24)).columns)
