"""What ``scripts/bench`` is made of: payloads, fake provider, bare proxy, load generator, processes, tables."""
