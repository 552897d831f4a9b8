"""Files through the SDK into a node, beside a plain copy that is hashed: what both upload benchmarks share."""

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from audiera.sdk import Client
from benchmarks.measuring import Detail, Round, Spent, Target, rate, spending
from benchmarks.node_process import NodeProcess

_PIECE_BYTES = 2**20
_MEGA = 1_000_000

DETAILS = {
    "transfer_mb_s": Detail("transfer alone, by the clock", "MB/s"),
    "analysis_share": Detail("of the time taken by the analysis", "share"),
    "realtime": Detail("analysis and storing, by the clock", "x real time", Target("at least", 50.0)),
    "files_s": Detail("files taken in, by the clock", "files/s"),
}
"""The further values of an upload."""


class Uploading:
    """Uploads files and says what that took in all processes.

    Args:
        node: the node.
        client: who uploads.
    """

    def __init__(self, node: NodeProcess, client: Client) -> None:
        self._node = node
        self._client = client

    def round(self, paths: Sequence[Path], folder: Path, audio_s: float) -> Round:
        """Upload the files, then copy and hash them.

        Args:
            paths: files the node has not seen.
            folder: where the copies go.
            audio_s: seconds of sound in all of them.
        """
        size = sum(path.stat().st_size for path in paths)
        before = self._node.spent()
        transfer_s = 0.0
        with spending() as candidate:
            for path in paths:
                transfer_s += self._upload(path)
        candidate.cpu_s += self._node.spent() - before
        analysis_s = candidate.wall_s - transfer_s
        return rate(
            size / _MEGA,
            candidate,
            copied(paths, folder),
            transfer_mb_s=size / _MEGA / transfer_s,
            analysis_share=analysis_s / candidate.wall_s,
            realtime=audio_s / analysis_s,
            files_s=len(paths) / candidate.wall_s,
        )

    def _upload(self, path: Path) -> float:
        """Upload one file; seconds until its last byte was confirmed durable."""
        start = time.perf_counter()
        confirmed: list[float] = []
        uploaded = self._client.upload(path, progress=lambda _sent, _all: confirmed.append(time.perf_counter()))
        assert uploaded.report.size == path.stat().st_size
        return confirmed[-1] - start


def copied(paths: Sequence[Path], folder: Path) -> Spent:
    """The files read once, hashed, copied and synced."""
    folder.mkdir()
    with spending() as spent:
        for path in paths:
            digest = hashlib.sha256()
            with path.open("rb") as source, (folder / path.name).open("wb") as target:
                while piece := source.read(_PIECE_BYTES):
                    digest.update(piece)
                    target.write(piece)
                target.flush()
                os.fsync(target.fileno())
            assert digest.digest()
    return spent
