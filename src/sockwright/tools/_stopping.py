"""What lets Ctrl-C end a verb in good order."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["stopping"]


@contextmanager
def stopping(stop: Callable[[], object]) -> Iterator[None]:
    """Let Ctrl-C, and what else asks a program to end, call `stop`; a second one ends it at once.

    `stop` runs in a signal handler: it may set a flag and wake whoever waits.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in its main thread only
        return
    asked = False

    def handle(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop()

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup(1) wants it to go on
        wanted.append(signal.SIGHUP)
    before = [(number, signal.signal(number, handle)) for number in wanted]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
