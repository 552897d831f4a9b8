"""The closed vocabulary of what may be asked for; a purpose's code in a row is its position here, for ever."""

from typing import Final, Literal

Purpose = Literal[
    "preview",
    "evaluate",
    "index",
    "train-analytic",
    "train-generative",
    "imitate",
    "condition",
    "use-in-work",
    "perform",
    "call-model",
]

PURPOSES: Final[tuple[Purpose, ...]] = (
    "preview",
    "evaluate",
    "index",
    "train-analytic",
    "train-generative",
    "imitate",
    "condition",
    "use-in-work",
    "perform",
    "call-model",
)
"""In the order of their codes: listen to decide; evaluate; embed and retrieve; train recognition or recommendation;
train generation; imitate a style or voice; input to a model at run time; sample or synchronize in a product;
play to an audience; call a published model (models only, never an asset's license)."""

ASSET_PURPOSES: Final[tuple[Purpose, ...]] = PURPOSES[:9]
"""The purposes a license may speak of."""

TRAINING_PURPOSES: Final[tuple[Purpose, ...]] = ("train-analytic", "train-generative", "imitate")
"""The purposes that make a run."""


def purpose_code(purpose: str) -> int:
    """The code of a purpose, 0 to 9.

    Raises:
        ValueError: no such purpose.
    """
    return PURPOSES.index(purpose)
