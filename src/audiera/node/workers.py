"""The node's own work beside requests: loops that start with it and end with it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)


class Workers:
    """Named loops. For one event loop.

    Attributes:
        failed: set when a loop ended by a fault; the node stops then, for it would serve what is not true.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self.failed = asyncio.Event()

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run a loop until :meth:`stop`."""
        self._tasks.append(asyncio.create_task(self._guard(name, work), name=name))

    def repeat(self, name: str, every_s: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do a piece of work again and again, with pauses."""

        async def loop() -> None:
            while True:
                await work()
                await asyncio.sleep(every_s)

        self.start(name, loop)

    async def _guard(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the one place where a loop's fault is seen; it ends the node
            _log.exception("worker.failed name=%s", name)
            self.failed.set()

    async def stop(self) -> None:
        """End all loops, the last one started first."""
        for task in reversed(self._tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._tasks.clear()
