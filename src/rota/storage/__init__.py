"""Stores: the only code that speaks SQL or another store's protocol. Services reach it through `rota.ports`."""
