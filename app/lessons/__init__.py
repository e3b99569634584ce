"""Delivered, confirmed or disputed: the only way a fee leaves escrow for the institution."""
