"""Units as types, so that swapped quantities are a type error and not a bill.

Every quantity in the protocol is an integer; the unit is in the type.
"""

from typing import NewType

Samples = NewType("Samples", int)
"""A count of audio frames at a stated rate; >= 0."""

Hertz = NewType("Hertz", int)
"""A sampling rate in frames per second; > 0."""

Milliseconds = NewType("Milliseconds", int)
"""A duration in thousandths of a second; >= 0."""

Microseconds = NewType("Microseconds", int)
"""A point in time: microseconds since 1970-01-01 UTC; >= 0."""

ByteCount = NewType("ByteCount", int)
"""A number of bytes; >= 0."""

Microcredits = NewType("Microcredits", int)
"""An amount of money: millionths of one credit; >= 0 wherever it is stored."""

BasisPoints = NewType("BasisPoints", int)
"""A share in ten-thousandths; a whole is exactly 10,000."""

Height = NewType("Height", int)
"""The number of a block; the first block has height 1."""

Number = NewType("Number", int)
"""The u64 the ledger gives each object when it registers it; unique over all kinds; 0 is nobody and nothing."""

WHOLE = BasisPoints(10_000)
"""All of it, in basis points."""

U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
I64_MAX = 2**63 - 1

HOUR_US = 3_600_000_000
DAY_US = 86_400_000_000
