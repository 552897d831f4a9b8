"""Check an access proof with nothing of Audiera: the standard library and one Ed25519 call.

    python verify_standalone.py PROOF.json --origin audiera/<chain>/accesses --key did:key:z6Mk... [--quorum N]

Prints the access in plain words and ends with 0, or says why the proof is refused and ends with 1.
The trust is in the keys: they are the chain's validators', from a source you chose.
"""

import argparse
import base64
import datetime
import hashlib
import json
import struct
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FIELDS = ["format", "row", "t", "page", "page_path", "entry", "log_index", "log_path", "checkpoint"]
PURPOSES = "preview,evaluate,index,train-analytic,train-generative,imitate,condition,use-in-work,perform,call-model"
OPS = ",was given asset,was given part of asset,was given shard of snapshot,called model,heard asset,was refused asset"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Refused(Exception):
    """The proof proves nothing."""


def need(condition: bool, why: str) -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise Refused(why)


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def raw(text: str) -> bytes:
    """Base64 in its one form."""
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 with stray bits")
    return data


def key_of(text: str) -> bytes:
    """A public key from did:key text or 64 hexadecimal digits."""
    if not text.startswith("did:key:z"):
        return bytes.fromhex(text)
    number = 0
    for character in text.removeprefix("did:key:z"):
        number = number * 58 + BASE58.index(character)
    data = number.to_bytes(34, "big")
    need(data[:2] == b"\xed\x01", "the key is not an Ed25519 key")
    return data[2:]


def climb(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root a leaf leads to (RFC 9162, section 2.1.3.2)."""
    need(0 <= index < size, f"leaf {index} of {size} does not exist")
    node, last = leaf, size - 1
    for sibling in path:
        need(last > 0 and len(sibling) == 32, "a path is too long or holds no hash")
        if index % 2 or index == last:
            node = sha256(b"\x01" + sibling + node)
            while index % 2 == 0:
                index, last = index // 2, last // 2
        else:
            node = sha256(b"\x01" + node + sibling)
        index, last = index // 2, last // 2
    need(last == 0, "a path is too short")
    return node


def check_note(note: str, origin: str, keys: list[bytes], quorum: int) -> tuple[int, bytes]:
    """Size and root of a checkpoint that enough of the keys cosigned (C2SP tlog-checkpoint, tlog-cosignature)."""
    body, separator, tail = note.rpartition("\n\n")
    lines, text = tail.split("\n"), body + "\n"
    name, size, root, *_ = [*body.split("\n"), "", ""]
    need(bool(separator) and lines.pop() == "" and name == origin, f"no checkpoint of {origin}")
    need(size == str(int(size)) and int(size) >= 0, "the checkpoint's size is no plain number")
    signed = set()
    for line in lines:
        dash, signer, blob = line.split(" ")
        data = raw(blob) if dash == "\u2014" else b""
        for key in keys:
            if data[:4] == sha256(signer.encode() + b"\n\x04" + key)[:4]:
                time = int.from_bytes(data[4:12], "big")
                message = f"cosignature/v1\ntime {time}\n{text}".encode()
                Ed25519PublicKey.from_public_bytes(key).verify(data[12:], message)
                signed.add(key)
    need(len(signed) >= max(quorum, 1), f"{quorum} of the given keys must have cosigned, {len(signed)} have")
    return int(size), raw(root)


def check(text: str, origin: str, keys: list[bytes], quorum: int) -> str:
    """The access a proof shows, in plain words."""
    proof = json.loads(text)
    need(json.dumps(proof, indent=2, ensure_ascii=False) + "\n" == text, "the file is not as it was written")
    need(list(proof) == FIELDS and proof["format"] == "audiera/access-proof/1", "not an access proof")
    row, index, page, entry = proof["row"], proof["log_index"], raw(proof["page"]), raw(proof["entry"])
    need(type(row) is int and type(index) is int and len(entry) == 208, "a number or the log entry is malformed")
    height, first, magic, k, zero, node, count = struct.unpack_from("<QQ4sHHII", entry)
    need(magic == b"ADB1" and zero == 0 and k in (1, 2, 4, 8, 16, 32) and 0 <= row < count, "no such batch or row")
    need(len(page) == 64 * min(k, count - row // k * k), "the page has not the rows of its place")
    path = [raw(sibling) for sibling in proof["page_path"]]
    rows_root = climb(sha256(b"\x00" + page), row // k, (count + k - 1) // k, path)
    need(rows_root == entry[80:112], "the page is not in its batch")
    size, root = check_note(proof["checkpoint"], origin, keys, quorum)
    path = [raw(sibling) for sibling in proof["log_path"]]
    need(climb(sha256(b"\x00" + entry), index, size, path) == root, "the batch is not in the checkpoint's log")
    row_bytes = page[row % k * 64 :][:64]
    asset, t, consumer, grant, _, sent, _, server, policy, purpose, op, _ = struct.unpack("<6Q3I2BH", row_bytes)
    need((server, t) == (node, proof["t"]), "the row is not the one the proof names")
    need(purpose < 10 and 0 < op < 7, "the row means nothing")
    moment = datetime.datetime.fromtimestamp(t // 1_000_000, datetime.UTC)
    return (
        f"Proved: account {consumer} {OPS.split(',')[op]} {asset}, {sent} bytes, for {PURPOSES.split(',')[purpose]}, "
        f"under grant {grant} (license revision {policy}), by node {node} at {moment:%Y-%m-%d %H:%M:%S} UTC. "
        f"Record {first + row} of the chain, block {height}, batch {index + 1} of {size}."
    )


def main() -> int:
    """Check the file named on the command line."""
    parser = argparse.ArgumentParser(description="Check an access proof with nothing of Audiera.")
    parser.add_argument("proof", type=Path)
    parser.add_argument("--origin", required=True, help="the log's name, audiera/<chain>/accesses")
    parser.add_argument("--key", action="append", required=True, help="a validator's public key, did:key or hex")
    parser.add_argument("--quorum", type=int, help="how many must have cosigned; more than two thirds if not given")
    given = parser.parse_args()
    quorum = len(given.key) * 2 // 3 + 1 if given.quorum is None else given.quorum
    try:
        text = given.proof.read_bytes().decode()
        print(check(text, given.origin, [key_of(key) for key in given.key], quorum))
    except InvalidSignature:
        print("REFUSED: a cosignature does not verify")
    except (Refused, OSError, ValueError, TypeError, KeyError, AttributeError, struct.error, OverflowError) as problem:
        print(f"REFUSED: {problem}")
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
