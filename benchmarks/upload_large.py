"""One large WAV through the SDK: sent in pieces, decoded in the sandbox, measured, encrypted, stored.

Processor seconds are those of client, node and analyzing processes together.
"""

from collections.abc import Iterator

from audiera.sdk import connect, make_identity
from benchmarks.measuring import Benchmark, Round, Target, Trial
from benchmarks.node_process import NodeProcess
from benchmarks.uploading import DETAILS, Uploading

_RATE = 44_100


def measure(trial: Trial) -> Iterator[Round]:
    """Each round uploads the same piece with another last sample."""
    from audiera.audio.compose import render_piece, write_audio

    seconds = 20 if trial.quick else 300
    sound = write_audio(render_piece(1, seconds, _RATE), _RATE, "wav")
    with NodeProcess(trial.scratch / "home") as node:
        uploading = Uploading(node, connect(node.address, identity=make_identity()))
        for number in range(trial.rounds + 1):
            path = trial.scratch / f"piece-{number}.wav"
            path.write_bytes(sound[:-2] + number.to_bytes(2, "little"))
            done = uploading.round([path], trial.scratch / f"copy-{number}", seconds)
            if number:  # the first round starts the analyzing processes
                yield done


BENCHMARK = Benchmark(
    figure="one WAV of five minutes (53 MB) through the SDK: sent, decoded, measured, encrypted, stored",
    unit="MB/CPU-s",
    wall_unit="MB/s",
    target=Target("at least", 20.0),
    baseline="the same bytes copied, hashed and synced",
    measure=measure,
    details=DETAILS,
)
