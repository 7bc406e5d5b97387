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

-- take_in
-- Queue orders, new or again. One that waits already takes the newer content and its turn, but keeps count of its failures: a program
-- that submits an order every few minutes must not keep it alive for ever. One that runs is left to its worker. In the order of the
-- uuids, so that two services do not lock each other out.
INSERT INTO adi_order AS o (uuid, imports_id, user_name, group_name)
SELECT DISTINCT ON (p.uuid) p.uuid, p.id, p.user_name, p.group_name
  FROM imports p
 WHERE p.uuid = ANY(:uuids) AND p.stage = 'Import Pending'
 ORDER BY p.uuid, p.id DESC
ON CONFLICT (uuid) DO UPDATE
   SET imports_id = excluded.imports_id, user_name = excluded.user_name, group_name = excluded.group_name,
       failures = CASE o.state WHEN 'waiting' THEN o.failures ELSE 0 END,
       note = CASE o.state WHEN 'waiting' THEN o.note ELSE 'ordered again' END,
       state = 'waiting', run_after = now(), cancel_requested = false, finished_at = NULL
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

-- reconcile
-- Put into the inbox what no trigger told of: pending rows that are the last word on their order, and newer than what was taken in.
-- The age of a row without a timestamp is taken from the next row that has one.
INSERT INTO adi_inbox (uuid, scanned)
SELECT DISTINCT p.uuid, true
  FROM imports p
  LEFT JOIN adi_order o ON o.uuid = p.uuid
 WHERE p.stage = 'Import Pending'
   AND (p.timestamp > now() - make_interval(days => :pending_days)
        OR (p.timestamp IS NULL
            AND coalesce((SELECT l.timestamp FROM imports l WHERE l.id > p.id AND l.timestamp IS NOT NULL ORDER BY l.id LIMIT 1),
                         now()) > now() - make_interval(days => :pending_days)))
   AND (o.uuid IS NULL OR p.id > o.imports_id)
   AND NOT EXISTS (SELECT FROM adi_inbox i WHERE i.uuid = p.uuid)
   AND NOT EXISTS (SELECT FROM imports r
                    WHERE r.uuid = p.uuid AND r.stage <> 'Import Pending'
                      AND CASE WHEN p.timestamp IS NULL OR r.timestamp IS NULL THEN r.id > p.id
                               ELSE (r.timestamp, r.id) > (p.timestamp, p.id) END)
RETURNING uuid

-- wake_claimers
-- Tell all services that an order may be due.
SELECT pg_notify('adi_order', '')
