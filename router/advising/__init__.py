"""What a profile's past suggests to change in its rules: a file for each kind of advice, ``kinds`` has the table.

Ledger rows in, ``Advice`` out; nothing is written, no provider called. What other rules would have done is replayed.
"""
