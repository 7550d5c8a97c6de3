"""Verbs: pure decisions, `(snapshot, policy, now, rng) -> plan`. No I/O, clock, dice, asyncio or wire types."""
