"""Rota on PostgreSQL, 15 or later.

`embedded` runs a server, `logins` prepares its three logins, `migrator` its schema; `connections` opens pools and
transactions, `query_files` finds the statements; every other module is the store of one aggregate.
"""
