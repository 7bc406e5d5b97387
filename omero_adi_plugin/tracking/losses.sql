-- lapsed
-- Orders whose worker is silent for too long. Those on which somebody just now writes are passed over.
SELECT uuid FROM adi_order WHERE state = 'running' AND lease_until < now() ORDER BY lease_until FOR UPDATE SKIP LOCKED

-- of_worker
-- Orders that a worker had when it died.
SELECT uuid FROM adi_order WHERE state = 'running' AND lease_owner = :owner ORDER BY uuid FOR UPDATE

-- lost
-- What there is to know of a lost order: its row was locked before.
SELECT uuid, imports_id, attempt, lease_owner, deaths, lapses FROM adi_order WHERE uuid = ANY(:uuids)

-- wait_again
-- Make an order claimable again, after a while. Without a pause it keeps its place among those of its user, however many they are.
UPDATE adi_order
   SET state = 'waiting',
       run_after = CASE WHEN :after_seconds > 0 THEN now() + make_interval(secs => :after_seconds) ELSE least(run_after, now()) END,
       note = :note, deaths = :deaths, lapses = :lapses,
       places = 0, doing = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL
 WHERE uuid = :uuid

-- fail
-- End an order over which workers die again and again. What they left in OMERO is looked for later.
UPDATE adi_order
   SET state = 'failed', note = NULL, finished_at = now(), cancel_requested = false, cancelled_by = NULL, deaths = 0, lapses = 0,
       unswept_since = clock_timestamp(), sweeps = 0, again = false,
       places = 0, doing = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL
 WHERE uuid = :uuid

-- wake
-- Tell all services that orders may be due, and that something may wait in the inbox for the end of one.
SELECT pg_notify('adi_order', ''), pg_notify('adi_inbox', '')
