"""A bank of its own process and books, behind the same port as a real one, that can be told to misbehave.

`client.MockBank` is the connection to it; `control.MockBankControl` plays payers, courts, faults and oracles.
"""
