"""The command line."""

import argparse

from ledger import books, report
from ledger.util import fmt


def main(argv=None):
    parser = argparse.ArgumentParser(prog="ledger", description=__doc__)
    parser.add_argument("command", choices=["summary", "list", "balance"])
    parser.add_argument("file")
    parser.add_argument("--month", help="only entries of this month, such as 2026-03")
    args = parser.parse_args(argv)

    entries = [entry for entry in books.read(args.file) if entry.date.startswith(args.month or "")]
    if args.command == "balance":
        print(fmt(sum(entry.cents for entry in entries)))
    elif args.command == "list":
        print(report.listing(entries))
    else:
        print(report.summary(entries))
    return 0
