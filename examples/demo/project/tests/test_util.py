import unittest

from ledger.util import fmt, parse


class Amounts(unittest.TestCase):
    def test_text(self):
        self.assertEqual(fmt(123456), "1,234.56 EUR")
        self.assertEqual(fmt(-5), "-0.05 EUR")

    def test_text_and_back(self):
        for cents in (0, 5, -5, 99, 100, -12345):
            self.assertEqual(parse(fmt(cents, "").strip()), cents)

    def test_fractions_of_a_cent_are_refused(self):
        with self.assertRaises(ValueError):
            parse("1.234")
