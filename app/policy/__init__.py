"""Law and local practice as dated, cited data, and the pure functions that judge by it."""
