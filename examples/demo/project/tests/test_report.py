import os
import unittest

from ledger import books, report

BOOKS = os.path.join(os.path.dirname(__file__), "..", "data", "books.csv")


class Report(unittest.TestCase):
    def test_summary(self):
        self.assertEqual(
            report.summary(books.read(BOOKS)),
            "rent    -950.00 EUR\n"
            "sales  2,595.40 EUR\n"
            "stock   -500.70 EUR\n"
            "total  1,144.70 EUR",
        )

    def test_list_shows_one_line_an_entry(self):
        self.assertEqual(len(report.listing(books.read(BOOKS)).splitlines()), 5)
