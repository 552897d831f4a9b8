"""Many one-shots through the SDK, one after another: each sent, decoded in the sandbox, measured, encrypted, stored.

Processor seconds are those of client, node and analyzing processes together.
"""

from collections.abc import Iterator

from audiera.sdk import connect, make_identity
from benchmarks.measuring import Benchmark, Round, Target, Trial
from benchmarks.node_process import NodeProcess
from benchmarks.uploading import DETAILS, Uploading

_RATE = 44_100
_SECONDS = 0.5


def measure(trial: Trial) -> Iterator[Round]:
    """Each round uploads other sounds."""
    from audiera.audio.compose import render_sample, write_audio

    count = 4 if trial.quick else 40
    with NodeProcess(trial.scratch / "home") as node:
        uploading = Uploading(node, connect(node.address, identity=make_identity()))
        for number in range(trial.rounds + 1):
            folder = trial.scratch / f"sounds-{number}"
            folder.mkdir()
            paths = [folder / f"{place}.wav" for place in range(count)]
            for place, path in enumerate(paths):
                sound = render_sample(number * count + place, "tone", _RATE)
                path.write_bytes(write_audio(sound, _RATE, "wav"))
            done = uploading.round(paths, trial.scratch / f"copy-{number}", count * _SECONDS)
            if number:  # the first round starts the analyzing processes
                yield done


BENCHMARK = Benchmark(
    figure="one-shots of half a second (44 KB) through the SDK, one after another",
    unit="MB/CPU-s",
    wall_unit="MB/s",
    target=Target("at least", 1.0),
    baseline="the same bytes copied, hashed and synced file by file",
    measure=measure,
    details={**DETAILS, "realtime": DETAILS["realtime"]._replace(target=None)},
)
