"""Tables for the terminal."""

from ledger.books import totals
from ledger.util import fmt


def summary(entries):
    rows = [(account, fmt(cents)) for account, cents in totals(entries).items()]
    rows.append(("total", fmt(sum(entry.cents for entry in entries))))
    return table(rows)


def listing(entries):
    return table([(f"{entry.date}  {entry.text}", fmt(entry.cents)) for entry in entries])


def table(rows):
    left = max(len(name) for name, _ in rows)
    right = max(len(value) for _, value in rows)
    return "\n".join(f"{name:<{left}}  {value:>{right}}" for name, value in rows)
