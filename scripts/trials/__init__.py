"""What ``scripts/agents`` is made of: the agents and their installation, the provider's part, one trial."""
