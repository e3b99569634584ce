"""Double entry: books, ledger accounts, transfers. It knows nothing of tuition."""
