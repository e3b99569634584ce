"""The escrow ledger behind the 1+2+1 supervision of prepaid tuition."""
