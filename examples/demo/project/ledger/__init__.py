"""A small shop's books, kept in a CSV file."""
