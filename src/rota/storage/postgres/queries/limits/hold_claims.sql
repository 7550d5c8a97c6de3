-- Lets no claim be under way while a limit is set: those that come later see it.
SELECT scheduler.hold_claims()
