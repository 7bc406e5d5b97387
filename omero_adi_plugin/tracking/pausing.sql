-- pause
-- Pause all imports. No row back: they are paused already, and the earlier pause holds.
INSERT INTO adi_control AS c (id, paused_at, paused_by) VALUES (1, clock_timestamp(), :who)
ON CONFLICT (id) DO UPDATE SET paused_at = excluded.paused_at, paused_by = excluded.paused_by WHERE c.paused_at IS NULL
RETURNING paused_at, paused_by

-- drain
-- Have the orders that are being carried out given back, too.
UPDATE adi_control SET draining = true WHERE paused_at IS NOT NULL

-- resume
-- Let imports go on. No row back: they were not paused. Gives the pause that has ended.
UPDATE adi_control c SET paused_at = NULL, paused_by = NULL, draining = false
  FROM (SELECT id, paused_at, paused_by FROM adi_control WHERE paused_at IS NOT NULL FOR UPDATE) was
 WHERE c.id = was.id
RETURNING was.paused_at, was.paused_by

-- standing
-- The pause that holds, if there is one.
SELECT paused_at, paused_by FROM adi_control WHERE paused_at IS NOT NULL

-- running
-- How many orders are being carried out. One whose lease has lapsed is not: its worker is dead, or will stop at its next step.
SELECT count(*) FROM adi_order WHERE state = 'running' AND lease_until > clock_timestamp()
