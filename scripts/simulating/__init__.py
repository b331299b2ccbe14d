"""What ``scripts/simulate-strategies`` is made of: a day of agents' traffic, the targets, the router's choosing."""
