"""Stores in memory: the oracle of the others (law 14), and the stores of unit tests. Nothing survives the process."""
