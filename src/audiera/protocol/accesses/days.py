"""From a day's rows to the leaves of its sum tree."""

import hashlib
from collections.abc import Sequence

import numpy as np

from audiera.protocol.accesses.columns import exact_sum
from audiera.protocol.accesses.rows import ROW_BYTES, Array
from audiera.protocol.merkle import DayLeaf


def day_leaves(batches: Sequence[Array]) -> list[DayLeaf]:
    """The leaves of a day, ascending by asset.

    Args:
        batches: the rows of every batch that blocks of that day hold, in any order. A row marked late belongs to the
            day of the block that holds it.
    """
    if not batches:
        return []
    rows = np.concatenate(batches)
    ordered = rows[np.lexsort((rows["node"], rows["t"], rows["asset"]))]
    data = ordered.tobytes()
    assets, starts = np.unique(ordered["asset"], return_index=True)
    ends = [*starts[1:].tolist(), len(ordered)]
    return [
        DayLeaf(
            asset=asset,
            count=end - start,
            bytes=exact_sum(ordered["bytes"][start:end]),
            digest=hashlib.sha256(data[start * ROW_BYTES : end * ROW_BYTES]).digest(),
        )
        for asset, start, end in zip(assets.tolist(), starts.tolist(), ends, strict=True)
    ]
