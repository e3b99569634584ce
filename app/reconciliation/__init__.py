"""The bank's statement against the books, every difference named."""
