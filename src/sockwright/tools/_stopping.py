"""What lets Ctrl-C end a verb in good order."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Asked", "stopping"]


class Asked:
    """Who asked a verb to end: `signal` is the number of the signal, 0 if none came."""

    __slots__ = ("signal",)

    def __init__(self) -> None:
        self.signal = 0


@contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[Asked]:
    """Let Ctrl-C, and what else asks a program to end, call `stop`; a second one ends it at once.

    `stop` runs in a signal handler: it may set a flag and wake whoever waits.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # Python handles signals in its main thread only
        return

    def handle(number: int, _frame: object) -> None:
        if asked.signal:
            raise KeyboardInterrupt
        asked.signal = number
        stop()

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) wants it to go on
        wanted.append(signal.SIGHUP)
    before = [(number, signal.signal(number, handle)) for number in wanted]
    try:
        yield asked
    finally:
        for number, handler in before:
            signal.signal(number, handler)
