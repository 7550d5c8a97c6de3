"""Nouns: frozen records, ids, lifecycles as tables, error families. Imports nothing of ours and does no I/O."""
