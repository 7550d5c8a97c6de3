-- Since when a milestone that is due is held, because the flag milestones is off for its tenant or for all.
ALTER TABLE scheduler.milestones ADD COLUMN IF NOT EXISTS held_since timestamptz;
