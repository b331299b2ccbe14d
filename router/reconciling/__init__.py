"""What a provider says it counted and charged, beside what the ledger has. Files and rows come in as arguments."""
