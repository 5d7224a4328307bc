"""Amounts of money: whole cents inside, text outside."""


def fmt(cents, currency="EUR"):
    """Cents as text: 123456 is "1,234.56 EUR"."""
    sign = "-" if cents < 0 else ""
    euros, rest = divmod(abs(cents), 100)
    return f"{sign}{euros:,}.{rest:02d} {currency}"


def parse(text):
    """Text as cents. Refuses fractions of a cent."""
    sign = -1 if text.startswith("-") else 1
    euros, _, rest = text.lstrip("-").partition(".")
    if len(rest) > 2:
        raise ValueError(f"{text!r} has fractions of a cent")
    return sign * (int(euros) * 100 + int(rest.ljust(2, "0") or 0))
