"""The imperative shell, one duty per file: each takes ports, asks the core what to do, and does it."""
