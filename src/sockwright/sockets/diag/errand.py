"""Work that goes on in a thread of its own while, or whatever, the calling one does.

Python interrupts the first thread only: what is begun here is brought to its end, also where a
Ctrl-C ends the wait for it.
"""

from __future__ import annotations

import _thread
import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["errand"]


def errand(work: Callable[[], T]) -> Callable[[], T]:
    """Begin `work` in another thread; return the function that waits for its result, to call once.

    That raises what `work` raised. What nobody waits for is dropped.

    Raises: OSError with EAGAIN where there is no room for another thread.
    """
    results: list[T] = []
    failures: list[BaseException] = []
    ended = _thread.allocate_lock()  # not threading.Thread, which a Ctrl-C leaves half started
    ended.acquire()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as failure:
            failures.append(failure)
        finally:
            ended.release()

    def result() -> T:
        ended.acquire()
        if failures:
            raise failures.pop()
        return results.pop()

    try:
        _thread.start_new_thread(run, ())
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, f"no room for another thread: {error}") from None
    return result
