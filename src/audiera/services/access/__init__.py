"""Access: the decision, the durable record, and only then the bytes."""

from audiera.services.access.gate import Ask, Authorization, Gate, Session
from audiera.services.access.meter import Meter, Recorded, RowFields
from audiera.services.access.refusals import Refusals
from audiera.services.access.sealer import Sealer
from audiera.services.access.stream import Delivery, Stream

__all__ = [
    "Ask",
    "Authorization",
    "Delivery",
    "Gate",
    "Meter",
    "Recorded",
    "Refusals",
    "RowFields",
    "Sealer",
    "Session",
    "Stream",
]
