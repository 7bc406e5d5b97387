-- lock
-- Where an order stands in the queue. Its row is locked, so that nobody claims it, ends it or takes it in again meanwhile.
SELECT state, imports_id, attempt, lease_owner, lease_until < clock_timestamp() AS lapsed, cancel_requested
  FROM adi_order WHERE uuid = :uuid FOR UPDATE

-- newest
-- The newest row of an order.
SELECT id, stage FROM imports WHERE uuid = :uuid ORDER BY timestamp DESC NULLS LAST, id DESC LIMIT 1

-- content
-- The row that says what an order is: the newest pending one; if there is none left, the newest.
SELECT id FROM imports WHERE uuid = :uuid ORDER BY stage = 'Import Pending' DESC, id DESC LIMIT 1

-- note_event
-- Put an order into the inbox: the trigger may be missing or switched off. Events of one order are taken in together, so one more
-- does no harm.
INSERT INTO adi_inbox (uuid) VALUES (:uuid)

-- hurry
-- Give an order that waits for another attempt its turn at once, with a new count of failures.
UPDATE adi_order
   SET state = 'waiting', run_after = least(run_after, now()), failures = 0, deaths = 0, lapses = 0, note = :note,
       cancel_requested = false, cancelled_by = NULL, places = 0, doing = NULL,
       lease_owner = NULL, lease_token = NULL, lease_until = NULL
 WHERE uuid = :uuid

-- again
-- Have what was imported of an order, and is not in OMERO any more, imported again. One without a row needs no such word: nothing
-- is known of it, so all is looked for in OMERO.
UPDATE adi_order SET again = true WHERE uuid = :uuid

-- call_off_events
-- Empty the inbox of an order, and say which pending row was its newest at that very moment. Whatever is ordered after it has an event
-- of its own, which stays. And whether one has no time yet, which not every account may give it.
WITH gone AS (DELETE FROM adi_inbox WHERE uuid = :uuid RETURNING id)
SELECT (SELECT count(*) FROM gone) AS events,
       (SELECT max(id) FROM imports WHERE uuid = :uuid AND stage = 'Import Pending') AS pending_id,
       EXISTS (SELECT FROM imports WHERE uuid = :uuid AND stage = 'Import Pending' AND timestamp IS NULL) AS undated,
       has_column_privilege('imports', 'timestamp', 'UPDATE') AS may_date

-- cancel
-- Call an order off. What was pending of it is settled thereby, so the reconciling scan does not find it again.
UPDATE adi_order
   SET state = 'cancelled', imports_id = coalesce(:pending_id, imports_id), note = NULL, finished_at = now(), cancel_requested = false,
       cancelled_by = NULL, places = 0, doing = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL,
       unswept_since = CASE WHEN attempt > 1 OR unswept_since IS NOT NULL THEN clock_timestamp() END, sweeps = 0, again = false
 WHERE uuid = :uuid
RETURNING imports_id, attempt, finished_at

-- time
-- The time by the clock of the database.
SELECT clock_timestamp()

-- ask_to_stop
-- Have an order called off by the worker that carries it out, at its next safe point. What is pending of it is settled thereby, too.
-- Who asked first is named.
UPDATE adi_order
   SET cancel_requested = true, cancelled_by = coalesce(cancelled_by, :by), imports_id = coalesce(:pending_id, imports_id)
 WHERE uuid = :uuid

-- half_imported
-- Whether something of an order may be half imported: its last attempt did not end it, and has either left something in the ledger or
-- died before it wrote down what it had begun.
SELECT EXISTS (SELECT FROM adi_order o JOIN adi_attempt a ON a.uuid = o.uuid AND a.attempt = o.attempt
                WHERE o.uuid = :uuid AND coalesce(a.outcome, '') NOT IN ('completed', 'failed', 'cancelled')
                  AND (coalesce(a.outcome, '') NOT IN ('to be retried', 'given back')
                       OR EXISTS (SELECT FROM adi_file f WHERE f.uuid = o.uuid)))

-- tidy
-- Give an order that nobody carries out its turn at once.
UPDATE adi_order
   SET state = 'waiting', run_after = least(run_after, now()), note = :note, finished_at = NULL, places = 0, doing = NULL,
       lease_owner = NULL, lease_token = NULL, lease_until = NULL
 WHERE uuid = :uuid

-- wake
-- Tell all services that there is something to do.
SELECT pg_notify(:channel, '')
