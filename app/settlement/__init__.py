"""Payouts of final releases to the settlement account 结算账户."""
