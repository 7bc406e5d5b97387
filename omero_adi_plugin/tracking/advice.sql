-- order
-- Where an order stands in the queue, if it ever came there.
SELECT o.state, o.user_name, o.group_name, o.run_after, o.run_after <= now() AS due, o.attempt, o.note, o.doing,
       o.lease_owner, o.lease_until, o.lease_until < now() AS lapsed, extract(epoch FROM o.lease_until - now()) AS lease_left,
       CASE WHEN o.cancel_requested THEN coalesce(o.cancelled_by, '') END AS cancelled_by, a.started_at
  FROM adi_order o
  LEFT JOIN adi_attempt a ON a.uuid = o.uuid AND a.attempt = o.attempt
 WHERE o.uuid = :uuid

-- control
-- What holds for all services, and when the first of them started here.
SELECT taken_over_at, taken_over_id, draining FROM adi_control

-- services
-- How many services are at work, how many of them have no trouble, and the trouble of one that has.
SELECT count(*) AS at_work, count(*) FILTER (WHERE trouble IS NULL) AS well, min(trouble) AS trouble
  FROM adi_service WHERE NOT ending AND seen_at >= now() - make_interval(secs => :silent_seconds)

-- held
-- How many orders of a user and in a group are being carried out, and how many filesets may be in flight, of those that run.
SELECT (SELECT count(*) FROM adi_order WHERE state = 'running' AND user_name = :user) AS of_user,
       (SELECT count(*) FROM adi_order WHERE state = 'running' AND group_name = :group) AS of_group,
       (SELECT coalesce(sum(places), 0) FROM adi_order WHERE state = 'running' AND lease_until > now()) AS places

-- held_up
-- When scripts are launched again for a user in a group, where they could not carry an order out, and why they could not.
SELECT run_after, note FROM adi_order
 WHERE state = 'waiting' AND held_up > 0 AND user_name = :user AND group_name = :group AND run_after > now()
 ORDER BY run_after DESC LIMIT 1

-- ahead
-- About how many orders come before one: all due ones of a higher priority, its user's own earlier ones, and, as users take turns, as
-- many of each other user as of its own; one more of a user whose last turn is longer ago.
WITH me AS (
    SELECT -o.priority AS rank, o.user_name, o.run_after, o.imports_id, coalesce(t.claimed_at, '-infinity') AS claimed_at
      FROM adi_order o LEFT JOIN adi_turn t ON t.user_name = o.user_name WHERE o.uuid = :uuid
), mine AS (
    SELECT count(*) AS amount, min(o.run_after) AS first
      FROM me JOIN adi_order o ON -o.priority = me.rank AND o.user_name = me.user_name
     WHERE o.state = 'waiting' AND (o.run_after, o.imports_id) < (me.run_after, me.imports_id)
), others AS (
    SELECT -priority AS rank, user_name, count(*) AS amount, min(run_after) AS first
      FROM adi_order WHERE state = 'waiting' AND run_after <= now() GROUP BY -priority, user_name
)
SELECT mine.amount + coalesce(
       (SELECT sum(CASE WHEN w.rank < me.rank THEN w.amount
                        WHEN (coalesce(t.claimed_at, '-infinity'), w.first) < (me.claimed_at, coalesce(mine.first, me.run_after))
                        THEN least(w.amount, mine.amount + 1)
                        ELSE least(w.amount, mine.amount) END)
          FROM others w LEFT JOIN adi_turn t ON t.user_name = w.user_name
         WHERE w.rank < me.rank OR (w.rank = me.rank AND w.user_name <> me.user_name)), 0) AS amount
  FROM me, mine

-- inbox
-- Whether an order is still to be taken in, and from when on that is tried.
SELECT min(not_before) AS not_before, min(not_before) > now() AS put_off FROM adi_inbox WHERE uuid = :uuid

-- newest
-- The newest row of an order, and whether it was too old, as a pending one, for the first start of a service.
SELECT id, stage, timestamp <= now() - make_interval(days => :pending_days) OR (timestamp IS NULL AND id <= :taken_over_id) AS too_old
  FROM imports WHERE uuid = :uuid ORDER BY timestamp DESC NULLS LAST, id DESC LIMIT 1

-- undone
-- Who has had removed what an order had imported, since it ended.
SELECT a.who, a.at FROM adi_action a
 WHERE a.uuid = :uuid AND a.action = 'undone'
   AND a.at >= coalesce((SELECT o.finished_at FROM adi_order o WHERE o.uuid = a.uuid), '-infinity')
 ORDER BY a.id DESC LIMIT 1
