"""Checking the proof of one access with the standalone verifier, which shares no code with Audiera.

The proof is that of :mod:`benchmarks.proof_size` with four validators; all four cosignatures are verified.
"""

import runpy
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audiera.protocol.accesses import format_proof
from audiera.protocol.keys import sign_bytes
from benchmarks.measuring import Benchmark, Detail, Round, Target, Trial, spending
from benchmarks.proofs_made import KEYS, ORIGIN, ROWS, SEEDS, make_log

_SCRIPT = Path(__file__).resolve().parent.parent / "examples" / "verify_standalone.py"


def measure(trial: Trial) -> Iterator[Round]:
    """One row after another; each figure is the mean of many checks of it."""
    check = runpy.run_path(str(_SCRIPT))["check"]
    times = 20 if trial.quick else 200
    log = make_log(2**10 if trial.quick else 2**20)
    message = bytes(200)
    signature = sign_bytes(SEEDS[0], message)
    for number in range(trial.rounds):
        text = format_proof(log.prove(number * 7_919 % ROWS, log.cosigned))
        assert check(text, ORIGIN, list(KEYS), len(KEYS)).startswith("Proved: ")
        with spending() as candidate:
            for _ in range(times):
                check(text, ORIGIN, list(KEYS), len(KEYS))
        with spending() as baseline:
            for _ in range(times):
                Ed25519PublicKey.from_public_bytes(KEYS[0]).verify(signature, message)
        yield Round(
            value=1_000.0 * candidate.cpu_s / times,
            baseline=1_000.0 * baseline.cpu_s / times,
            wall=1_000.0 * candidate.wall_s / times,
            wall_baseline=1_000.0 * baseline.wall_s / times,
            details={"lines": len(_SCRIPT.read_text(encoding="utf-8").splitlines())},
        )


BENCHMARK = Benchmark(
    figure="checking the proof of one access with the standalone verifier, four cosignatures",
    unit="CPU-ms",
    wall_unit="ms",
    target=Target("at most", 5.0),
    baseline="one Ed25519 verification by the same library",
    measure=measure,
    details={"lines": Detail("length of the standalone verifier", "lines")},
)
