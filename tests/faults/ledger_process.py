"""A process that runs a solo ledger under load and says each answer it got; somebody else kills it.

Usage: ``python -m tests.faults.ledger_process FOLDER [STEP COUNT]``: with a step, it kills itself right after that
durable step has been done for the COUNT-th time since the load began.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from tests.services.ledger.actors import ANSWER_S, NO_PROOF_BLOCKS, Actor, opened

PEOPLE = 4
WINDOW = 8
READY = "ready"


def killer(step: str, count: int, armed: threading.Event) -> Callable[[str], None]:
    """Ends this process as a power cut would, after a step."""
    seen = [0]

    def after(done: str) -> None:
        if armed.is_set() and done == step:
            seen[0] += 1
            if seen[0] == count:
                os.kill(os.getpid(), signal.SIGKILL)

    return after


def main(folder: Path, step: str, count: int) -> None:
    """Submit changes for ever, and write the id of each that was answered with ok."""
    armed = threading.Event()
    ledger = opened(folder, settings=NO_PROOF_BLOCKS, after=killer(step, count, armed))
    people = [Actor(f"person {number}").join(ledger) for number in range(PEOPLE)]
    node = Actor("node", kind="node").join(ledger)
    for actor in (*people, node):
        actor.sequence = ledger.state().sequence(actor.number)
    state = ledger.state().node(node.number)
    node.rows, node.last_header = state.next_index, state.last_header_hash
    print(READY, flush=True)
    armed.set()

    def load(make: Callable[[], bytes], window: int) -> None:
        while True:
            futures = [ledger.submit(make()) for _ in range(window)]
            for future in futures:
                result = future.result(ANSWER_S)
                if not result.ok:
                    os.write(1, f"refused {result.code} {result.message}\n".encode())
                os.write(1, result.id.hex().encode() + b"\n")

    for person in people:
        threading.Thread(target=load, args=(person.change, WINDOW), daemon=True).start()
    load(node.batch, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *((sys.argv[2], int(sys.argv[3])) if len(sys.argv) > 2 else ("", 0)))
