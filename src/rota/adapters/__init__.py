"""The machine's own clock, dice and names behind their ports: the only modules that may touch them."""
