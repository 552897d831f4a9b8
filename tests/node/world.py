"""A node with people, sounds, grants and a model."""

import dataclasses

from audiera.protocol.records import Grant
from tests.node.house import ANYTHING, NOTHING, House, Person, priced, sound

LARGE_S = 8.0
"""Seconds of the sound that is too large to be read at once."""


@dataclasses.dataclass(frozen=True)
class World:
    """What is there."""

    house: House
    creator: Person
    lab: Person
    rival: Person
    free: int
    free_bytes: bytes
    large: int
    large_bytes: bytes
    closed: int
    priced: int
    grant: Grant
    model: int
    calls: Grant


def made(house: House) -> World:
    """Put people and sounds into a node."""
    creator, lab, rival = house.person(), house.person(funds=100_000_000), house.person(funds=1_000_000)
    small, large = sound(1), sound(2, LARGE_S)
    free = creator.offer(ANYTHING, small, name="bell.wav", title="Copper bell", tags=("bright",))
    big = creator.offer(ANYTHING, large, name="long.wav", title="Long study")
    closed = creator.offer(NOTHING, sound(3), name="closed.wav", title="Closed door")
    paid = creator.offer(priced(1_000), sound(4), name="paid.wav", title="Paid bell")
    model = creator.model()
    return World(
        house=house,
        creator=creator,
        lab=lab,
        rival=rival,
        free=free,
        free_bytes=small,
        large=big,
        large_bytes=large,
        closed=closed,
        priced=paid,
        grant=lab.grant(free, big, paid, budget=1_000_000),
        model=model,
        calls=lab.grant(model=model, purpose="call-model", budget=10_000_000),
    )
