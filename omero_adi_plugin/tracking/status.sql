-- services
-- The services that say that they are at work, or said so until lately, with their worker processes.
SELECT host, pid, version, started_at, seen_at, clock_timestamp() - seen_at > make_interval(secs => :silent_seconds) AS silent, ending,
       workers, trouble, trouble_since
  FROM adi_service ORDER BY host, started_at, pid

-- running
-- The orders that are being carried out, and by whom; there are no more of them than processes.
SELECT o.uuid, o.user_name, o.attempt, a.started_at, o.lease_owner, o.lease_until, o.lease_until < clock_timestamp() AS lapsed,
       o.places, o.in_script, o.doing, CASE WHEN o.cancel_requested THEN coalesce(o.cancelled_by, '') END AS cancelled_by
  FROM adi_order o
  LEFT JOIN adi_attempt a ON a.uuid = o.uuid AND a.attempt = o.attempt
 WHERE o.state = 'running'
 ORDER BY a.started_at, o.uuid

-- waiting
-- How many orders wait: those that are due, those of them whose user or group is at its limit, and those that have to wait for a time.
WITH waiting AS (
    SELECT user_name, group_name, count(*) FILTER (WHERE run_after <= now()) AS due,
           min(run_after) FILTER (WHERE run_after <= now()) AS oldest, count(*) FILTER (WHERE run_after > now()) AS later,
           min(run_after) FILTER (WHERE run_after > now()) AS next_try
      FROM adi_order WHERE state = 'waiting' GROUP BY user_name, group_name
), running AS MATERIALIZED (
    SELECT user_name, group_name FROM adi_order WHERE state = 'running'
)
SELECT coalesce(sum(w.due), 0) AS due, min(w.oldest) AS oldest, coalesce(sum(w.later), 0) AS later, min(w.next_try) AS next_try,
       coalesce(sum(w.due) FILTER (
           WHERE (SELECT count(*) FROM running r WHERE r.user_name = w.user_name) >= coalesce(:per_user, 2147483647)
              OR (SELECT count(*) FROM running r WHERE r.group_name = w.group_name) >= coalesce(:per_group, 2147483647)), 0) AS held
  FROM waiting w

-- held_up
-- How many orders wait because scripts could not carry them out, of how many users, and what was said of the last one.
SELECT count(*) AS orders, count(DISTINCT user_name) AS users, (array_agg(note ORDER BY run_after DESC))[1] AS why
  FROM adi_order WHERE state = 'waiting' AND held_up > 0

-- inbox
-- How many orders are still to be taken in, and how many could not be.
SELECT count(DISTINCT uuid) FILTER (WHERE not_before <= now()) AS new,
       count(DISTINCT uuid) FILTER (WHERE not_before > now()) AS put_off
  FROM adi_inbox

-- ended
-- How many orders have come to their end lately, by how.
SELECT state, count(*) AS amount
  FROM adi_order WHERE finished_at > now() - make_interval(hours => :hours) GROUP BY state

-- pause
-- The pause that holds, if there is one.
SELECT paused_at, paused_by, draining FROM adi_control WHERE paused_at IS NOT NULL

-- time
-- The time by the clock of the database.
SELECT now()
