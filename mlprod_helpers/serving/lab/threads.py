"""Work in daemon threads, with its outcome in a Future."""

import threading
from concurrent.futures import Future


def in_thread(name, work):
    """Start `work()` in a daemon thread of this name. Returns a Future; wait for it with `concurrent.futures.wait`.

    >>> in_thread("one", lambda: 1 + 1).result()
    2
    """

    def run():
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    future = Future()
    threading.Thread(target=run, name=name, daemon=True).start()
    return future
