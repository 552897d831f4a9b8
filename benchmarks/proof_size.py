"""Size of the proof of one access as a node gives it out: a row of a full batch, in a log of 2^20 batches."""

from collections.abc import Iterator

from audiera.protocol.accesses import encode_proof, format_proof
from benchmarks.measuring import Benchmark, Detail, Round, Target, Trial
from benchmarks.proofs_made import ROWS, make_log


def measure(trial: Trial) -> Iterator[Round]:
    """One row after another of the same log."""
    log = make_log(2**10 if trial.quick else 2**20)
    for number in range(trial.rounds):
        proof = log.prove(number * 7_919 % ROWS, log.note)
        cosigned = log.prove(number * 7_919 % ROWS, log.cosigned)
        bare = [proof.page, *proof.page_path, proof.entry, *proof.log_path, proof.checkpoint.encode()]
        yield Round(
            value=len(encode_proof(proof)),
            baseline=sum(len(part) for part in bare),
            details={
                "file": len(format_proof(proof)),
                "cosigned": len(encode_proof(cosigned)),
                "cosigned_file": len(format_proof(cosigned)),
            },
        )


BENCHMARK = Benchmark(
    figure="compact proof of one access in a log of 1,048,576 batches, as the solo engine's node gives it out",
    unit="bytes",
    target=Target("at most", 3_072),
    baseline="page, paths, entry and checkpoint one after another, in no encoding",
    measure=measure,
    rounds=3,
    details={
        "file": Detail("the same as a file: JSON with bytes in base64", "bytes"),
        "cosigned": Detail("the compact proof with the cosignatures of four validators", "bytes"),
        "cosigned_file": Detail("that as a file", "bytes"),
    },
)
