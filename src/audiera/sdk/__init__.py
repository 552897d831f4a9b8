"""What a researcher imports: connect to a node, find music, license it, stream it, prove it."""

from audiera.sdk.client import Client, connect
from audiera.sdk.datasets import Clip, Dataset, Selection
from audiera.sdk.identity import Identity, load_identity, make_identity, save_identity
from audiera.sdk.models import CallAnswer
from audiera.sdk.offers import Uploaded, preset
from audiera.sdk.verify import verify_proof

__all__ = [
    "CallAnswer",
    "Client",
    "Clip",
    "Dataset",
    "Identity",
    "Selection",
    "Uploaded",
    "connect",
    "load_identity",
    "make_identity",
    "preset",
    "save_identity",
    "verify_proof",
]
