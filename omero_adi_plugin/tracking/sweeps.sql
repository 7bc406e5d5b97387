-- are_due
-- A part of others: which orders are to be looked at now.
unswept_since <= now() - make_interval(secs => :delay_seconds) AND state IN ('completed', 'failed', 'cancelled')

-- any_due
-- Whether there is one.
SELECT EXISTS (SELECT FROM adi_order WHERE {+are_due}) AS due

-- claim
-- Take the order whose sweep has been due for longest, or none. It is put off by the time that one sweep may take, so that nobody else
-- takes it, and somebody does when this one dies. After an end that was followed by nothing for so long that OMERO was looked at in the
-- meantime, only what began later is of interest.
WITH next AS (
    SELECT uuid FROM adi_order
     WHERE {+are_due}
       AND NOT EXISTS (SELECT FROM adi_control WHERE paused_at IS NOT NULL)
     ORDER BY unswept_since LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE adi_order o
   SET unswept_since = now() + make_interval(secs => :lease_seconds - :delay_seconds), sweeps = o.sweeps + 1
  FROM next WHERE o.uuid = next.uuid
RETURNING o.uuid, o.imports_id, o.attempt, o.sweeps, extract(epoch FROM clock_timestamp()) AS now,
          extract(epoch FROM coalesce((
              SELECT max(started_at)
                FROM (SELECT started_at, lag(attempt) OVER w AS former, lag(outcome) OVER w AS outcome, lag(ended_at) OVER w AS ended_at
                        FROM adi_attempt a WHERE a.uuid = o.uuid WINDOW w AS (ORDER BY attempt)) begun
               WHERE former IS NULL
                  OR (outcome IN ('completed', 'failed', 'cancelled')
                      AND started_at > ended_at + make_interval(days => 1, secs => :delay_seconds))), o.created_at)) AS since

-- over
-- Those of some orders that ended long ago, and of which nothing is to be looked for in OMERO any more.
SELECT uuid, imports_id, attempt FROM adi_order
 WHERE uuid = ANY(:uuids) AND state IN ('completed', 'failed', 'cancelled') AND unswept_since IS NULL
   AND finished_at <= now() - make_interval(secs => :delay_seconds)
 ORDER BY uuid

-- wanted
-- Whether it is still to be looked, and nobody has begun with the order again: from then on it is that attempt that looks. If so, this
-- sweep has as much time again.
UPDATE adi_order SET unswept_since = now() + make_interval(secs => :lease_seconds - :delay_seconds)
 WHERE uuid = :uuid AND attempt = :attempt AND state IN ('completed', 'failed', 'cancelled') AND unswept_since IS NOT NULL
RETURNING uuid

-- done
-- There is nothing to look for any more.
UPDATE adi_order SET unswept_since = NULL, sweeps = 0
 WHERE uuid = :uuid AND attempt = :attempt AND state IN ('completed', 'failed', 'cancelled')

-- put_off
-- Look later. This time counts only if the order may be in the way itself.
UPDATE adi_order
   SET unswept_since = now() + make_interval(secs => :seconds - :delay_seconds),
       sweeps = CASE WHEN :counts THEN sweeps ELSE greatest(sweeps - 1, 0) END
 WHERE uuid = :uuid AND attempt = :attempt AND state IN ('completed', 'failed', 'cancelled') AND unswept_since IS NOT NULL
