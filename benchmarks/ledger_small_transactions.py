"""Signed small transactions through check, execute and commit: the real solo engine on a real disk, one process.

Half of them register something (a commitment: new rows, a new number), half change something (a profile).
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from audiera.protocol.encoding import digest
from audiera.protocol.keys import is_signature_valid, split_signed, to_sign
from audiera.protocol.transactions import ChangeProfile, CommitRegistrations
from audiera.services.ledger.engines import SoloSettings, open_solo
from audiera.services.ledger.ports import Ledger
from audiera.services.storage.files import sync_data, write_all
from benchmarks.chains import VALIDATOR, Account, genesis, now_us
from benchmarks.measuring import Benchmark, Round, Spent, Target, Trial, rate, spending

ACCOUNTS = 100


def _signed_by(accounts: list[Account], count: int, salt: int) -> list[bytes]:
    """The next transactions of all accounts in turn."""
    made = []
    for number in range(count):
        account = accounts[number % len(accounts)]
        named = digest(f"{salt}/{number}".encode())
        body = CommitRegistrations(root=named, count=4) if number % 2 else ChangeProfile(roles=(), profile=named)
        made.append(account.sign(body))
    return made


def _through_the_ledger(ledger: Ledger, transactions: list[bytes]) -> Spent:
    with spending() as spent:
        futures = [ledger.submit(transaction) for transaction in transactions]
        results = [future.result() for future in futures]
    assert all(result.ok for result in results)
    return spent


def _least_work(path: Path, accounts: list[Account], blocks: list[list[bytes]]) -> Spent:
    """The same signatures verified, the same bytes hashed and written, one sync for each block."""
    keys = [account.key for account in accounts]
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    at = number = 0
    with spending() as spent:
        for block in blocks:
            for transaction in block:
                signed = split_signed(transaction)
                key = keys[number % len(keys)]
                assert is_signature_valid(key, to_sign(signed.payload), signed.signature)
                hashlib.sha256(transaction).digest()
                number += 1
            at += write_all(descriptor, [b"".join(block)], at)
            sync_data(descriptor)
    os.close(descriptor)
    return spent


def measure(trial: Trial) -> Iterator[Round]:
    """Rounds on one growing chain."""
    count = 1_000 if trial.quick else 20_000
    ledger = open_solo(
        trial.scratch / "ledger",
        genesis=genesis(),
        seed=VALIDATOR,
        now=now_us,
        entropy=os.urandom,
        settings=SoloSettings(proof_block_after_s=None),
    )
    accounts = [Account(f"account {number}") for number in range(ACCOUNTS)]
    for account in accounts:
        account.number = ledger.submit(account.creation()).result().number
    _through_the_ledger(ledger, _signed_by(accounts, count // 4, -1))
    for number in range(trial.rounds):
        transactions = _signed_by(accounts, count, number)
        before = ledger.head().height
        candidate = _through_the_ledger(ledger, transactions)
        blocks = [list(ledger.block(height).transactions) for height in range(before + 1, ledger.head().height + 1)]
        baseline = _least_work(trial.scratch / "blocks", accounts, blocks)
        yield rate(count, candidate, baseline)
    ledger.close()


BENCHMARK = Benchmark(
    figure="signed small transactions through check, execute and commit, durable, in one process",
    unit="transactions/CPU-s",
    wall_unit="transactions/s",
    target=Target("at least", 5_000),
    baseline="the same signatures verified, the same bytes hashed and written, one sync for each block",
    measure=measure,
)
