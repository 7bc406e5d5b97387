-- due_events
-- Lock what happened to the next orders. Events of an order that runs stay until it has ended, so that it runs again then; events
-- that another service works on are passed over.
SELECT i.id, i.uuid, i.scanned
  FROM adi_inbox i
 WHERE i.not_before <= now()
   AND i.uuid IN (SELECT n.uuid FROM adi_inbox n
                   WHERE n.not_before <= now()
                     AND NOT EXISTS (SELECT FROM adi_order o WHERE o.uuid = n.uuid AND o.state = 'running')
                   GROUP BY n.uuid ORDER BY min(n.id) LIMIT :batch)
 ORDER BY i.id
   FOR UPDATE SKIP LOCKED

-- fill_timestamps
-- A pending row without a timestamp gets the present time, so that it is the newest of its order. Our only change of others' rows.
UPDATE imports p
   SET timestamp = greatest(clock_timestamp(), (SELECT max(r.timestamp) + interval '1 microsecond' FROM imports r
                                                 WHERE r.uuid = p.uuid AND r.timestamp < '9999-12-31 UTC'))
 WHERE p.uuid = ANY(:uuids) AND p.stage = 'Import Pending' AND p.timestamp IS NULL

-- earlier
-- A part of others: above which number the attempts at an order `n` begin that we do not know. If it is not new, because it was forgotten
-- or somebody else had it, each older row may tell of an attempt. A pending one of these days is only one that was written twice.
(SELECT count(*) FROM imports r
  WHERE r.uuid = n.uuid AND r.id < n.id
    AND NOT (r.stage = 'Import Pending' AND r.timestamp > now() - interval '1 day' AND r.timestamp < now() + interval '1 day'))

-- attempts_before
-- How many attempts there may have been before an order that was just written, if we do not know it.
SELECT {+earlier} FROM imports n WHERE n.id = :imports_id

-- know
-- Give an order that was never taken in its row in the queue, called off. No row back: it has one.
INSERT INTO adi_order (uuid, imports_id, user_name, group_name, state, finished_at, attempt)
SELECT n.uuid, n.id, n.user_name, n.group_name, 'cancelled', now(), {+earlier}
  FROM imports n WHERE n.id = :imports_id
ON CONFLICT (uuid) DO NOTHING
RETURNING uuid

-- take_in
-- Queue orders, new or again. One that waits already takes the newer content and its turn, but keeps count of its failures: a program
-- that submits an order every few minutes must not keep it alive for ever. One that runs is left to its worker. In the order of the
-- uuids, so that two services do not lock each other out.
INSERT INTO adi_order AS o (uuid, imports_id, user_name, group_name, attempt)
SELECT n.uuid, n.id, n.user_name, n.group_name, {+earlier}
  FROM (SELECT DISTINCT ON (p.uuid) p.uuid, p.id, p.user_name, p.group_name
          FROM imports p
         WHERE p.uuid = ANY(:uuids) AND p.stage = 'Import Pending'
         ORDER BY p.uuid, p.id DESC) n
 ORDER BY n.uuid
ON CONFLICT (uuid) DO UPDATE
   SET imports_id = excluded.imports_id, user_name = excluded.user_name, group_name = excluded.group_name,
       failures = CASE o.state WHEN 'waiting' THEN o.failures ELSE 0 END,
       deaths = CASE o.state WHEN 'waiting' THEN o.deaths ELSE 0 END,
       lapses = CASE o.state WHEN 'waiting' THEN o.lapses ELSE 0 END,
       held_up = CASE o.state WHEN 'waiting' THEN o.held_up ELSE 0 END,
       note = CASE o.state WHEN 'waiting' THEN o.note ELSE 'ordered again' END,
       state = 'waiting', run_after = now(), cancel_requested = false, cancelled_by = NULL, finished_at = NULL
 WHERE o.state <> 'running' AND (o.uuid = ANY(:asked) OR excluded.imports_id > o.imports_id)
RETURNING o.uuid

-- still_pending
-- Those of these orders that have a pending row.
SELECT DISTINCT uuid FROM imports WHERE uuid = ANY(:uuids) AND stage = 'Import Pending'

-- drop_events
-- Forget events that were seen to.
DELETE FROM adi_inbox WHERE id = ANY(:ids)

-- put_off_events
-- Look at events again later.
UPDATE adi_inbox SET not_before = now() + make_interval(secs => :seconds) WHERE id = ANY(:ids)

-- span
-- How far back the scan of all pending rows looks, in seconds: as far as to the last such scan and a day more, for transactions that
-- take long, and at least `pending_days`; but never further than that before the first start. Rows without a timestamp are looked at
-- beyond `after_id`: at the first scan all, later those that were not there then. Beyond `ours_id` they are younger than the first start.
SELECT extract(epoch FROM now() - greatest(coalesce(c.taken_over_at, now()) - d.days,
                                           least(now() - d.days, coalesce(c.scanned_at - interval '1 day', '-infinity'))))
           AS seconds,
       CASE WHEN c.scanned_at IS NULL THEN 0 ELSE c.taken_over_id - :late_ids END AS after_id,
       CASE WHEN c.taken_over_at IS NOT NULL THEN c.taken_over_id END AS ours_id
  FROM adi_control c, (SELECT make_interval(days => :pending_days) AS days) d

-- reconcile
-- Put into the inbox what no trigger told of. Of an order that we know, that is a pending row newer than what was taken in; of others,
-- one that nothing was written after: else the former importer has done it. The timestamp of the producer says how old a row is. One
-- without is as old as the next row that has one; each row is read once for that, however many have none.
INSERT INTO adi_inbox (uuid, scanned)
WITH undated AS (
    SELECT p.id, p.uuid, (SELECT r.timestamp FROM imports r
                           WHERE r.id > p.id AND r.id < p.next_id AND r.timestamp IS NOT NULL ORDER BY r.id LIMIT 1) AS next_time
      FROM (SELECT id, uuid, lead(CAST(id AS bigint), 1, 9223372036854775807) OVER (ORDER BY id) AS next_id
              FROM imports WHERE stage = 'Import Pending' AND timestamp IS NULL AND id > :after_id) p
), neighbours AS (
    SELECT id, uuid, next_time, count(next_time) OVER (ORDER BY id DESC) AS neighbourhood FROM undated
), pending AS (
    SELECT id, uuid, max(next_time) OVER (PARTITION BY neighbourhood) AS time FROM neighbours
    UNION ALL
    SELECT id, uuid, timestamp FROM imports
     WHERE stage = 'Import Pending' AND timestamp > now() - make_interval(secs => :seconds)
)
SELECT DISTINCT p.uuid, true
  FROM pending p
  LEFT JOIN adi_order o ON o.uuid = p.uuid
 WHERE (p.time IS NULL OR p.time > now() - make_interval(secs => :seconds) OR p.id > :ours_id)
   AND NOT EXISTS (SELECT FROM adi_inbox i WHERE i.uuid = p.uuid)
   AND CASE WHEN o.uuid IS NOT NULL THEN p.id > o.imports_id
            ELSE NOT EXISTS (SELECT FROM imports r WHERE r.uuid = p.uuid AND r.stage <> 'Import Pending' AND r.id > p.id) END
RETURNING uuid

-- scanned
-- Note when all pending rows were last looked for.
UPDATE adi_control SET scanned_at = now()
