"""Entries, and the sums that a shop wants to see."""

import csv
from collections import defaultdict
from dataclasses import dataclass

from ledger.util import parse


@dataclass(frozen=True)
class Entry:
    date: str
    account: str
    cents: int
    text: str


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [
            Entry(row["date"], row["account"], parse(row["amount"]), row["text"])
            for row in csv.DictReader(file)
        ]


def totals(entries):
    """Cents by account, accounts in order of their names."""
    sums = defaultdict(int)
    for entry in entries:
        sums[entry.account] += entry.cents
    return dict(sorted(sums.items()))
