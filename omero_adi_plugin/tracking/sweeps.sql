-- claim
-- Take the order whose sweep has been due for longest, or none. It is put off by the time that one sweep may take, so that nobody else
-- takes it, and somebody does when this one dies.
WITH next AS (
    SELECT uuid FROM adi_order
     WHERE unswept_since <= now() - make_interval(secs => :delay_seconds) AND state IN ('completed', 'failed', 'cancelled')
       AND NOT EXISTS (SELECT FROM adi_control WHERE paused_at IS NOT NULL)
     ORDER BY unswept_since LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE adi_order o
   SET unswept_since = now() + make_interval(secs => :lease_seconds - :delay_seconds), sweeps = o.sweeps + 1
  FROM next WHERE o.uuid = next.uuid
RETURNING o.uuid, o.imports_id, o.attempt, o.sweeps

-- wanted
-- Whether nobody has begun with the order again: from then on it is that attempt that looks.
SELECT EXISTS (SELECT FROM adi_order
                WHERE uuid = :uuid AND attempt = :attempt AND state IN ('completed', 'failed', 'cancelled')) AS wanted

-- done
-- There is nothing to look for any more.
UPDATE adi_order SET unswept_since = NULL, sweeps = 0
 WHERE uuid = :uuid AND attempt = :attempt AND state IN ('completed', 'failed', 'cancelled')

-- put_off
-- Look later: it was not this order that was in the way.
UPDATE adi_order
   SET unswept_since = now() + make_interval(secs => :seconds - :delay_seconds), sweeps = greatest(sweeps - 1, 0)
 WHERE uuid = :uuid AND attempt = :attempt AND state IN ('completed', 'failed', 'cancelled') AND unswept_since IS NOT NULL
