-- free_lapsed
-- Make the orders of workers that are silent for too long claimable again. Those whose worker just now writes are passed over.
WITH lapsed AS (
    SELECT uuid FROM adi_order WHERE state = 'running' AND lease_until < now()
     ORDER BY lease_until FOR UPDATE SKIP LOCKED
)
UPDATE adi_order o
   SET state = 'waiting', run_after = now(), note = 'taken over: the lease of ' || o.lease_owner || ' lapsed',
       lease_owner = NULL, lease_token = NULL, lease_until = NULL
  FROM lapsed WHERE o.uuid = lapsed.uuid
RETURNING o.uuid

-- claim
-- Take the next due order, or none: also none while all imports are paused. Rows locked by others are passed over, so no worker waits
-- for another.
WITH next AS (
    SELECT uuid FROM adi_order
     WHERE state = 'waiting' AND run_after <= now() AND NOT EXISTS (SELECT FROM adi_control WHERE paused_at IS NOT NULL)
     ORDER BY priority DESC, run_after, uuid LIMIT 1 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE adi_order o
       SET state = 'running', attempt = o.attempt + 1, lease_owner = :owner, lease_token = gen_random_uuid(),
           lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
      FROM next WHERE o.uuid = next.uuid
    RETURNING o.uuid, o.imports_id, o.attempt, o.failures, o.note, o.skip_existing, o.lease_owner, o.lease_token, o.lease_until
)
SELECT t.uuid, t.imports_id, t.attempt, t.failures, t.note, t.skip_existing, t.lease_owner, t.lease_token, t.lease_until,
       s.user_name, s.group_name, s.destination_type, s.destination_id, s.files, s.file_names, p.container
  FROM taken t
  LEFT JOIN imports s ON s.id = t.imports_id
  LEFT JOIN imports_preprocessing p ON p.id = s.preprocessing_id

-- extend
-- Extend a lease. No row back means that it is gone: the worker stops at once and writes nothing more.
UPDATE adi_order SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
 WHERE uuid = :uuid AND lease_token = :token AND state = 'running'
RETURNING lease_until

-- finish
-- Give an order its outcome. No row back: the lease is gone.
UPDATE adi_order
   SET state = :state, note = NULL, finished_at = now(), cancel_requested = false,
       lease_owner = NULL, lease_token = NULL, lease_until = NULL
 WHERE uuid = :uuid AND lease_token = :token AND state = 'running'
RETURNING imports_id

-- give_back
-- Let an order wait for another attempt. No row back: the lease is gone.
UPDATE adi_order
   SET state = 'waiting', note = :note, failures = failures + :failed,
       run_after = clock_timestamp() + make_interval(secs => :after_seconds),
       lease_owner = NULL, lease_token = NULL, lease_until = NULL
 WHERE uuid = :uuid AND lease_token = :token AND state = 'running'
RETURNING imports_id

-- wake_claimers
-- Tell all services that an order may be due.
SELECT pg_notify('adi_order', '')

-- wake_intake
-- Tell all services that something waits in the inbox, if it does: an order was submitted again while it ran.
SELECT pg_notify('adi_inbox', '') WHERE EXISTS (SELECT FROM adi_inbox WHERE uuid = :uuid)

-- next_due_seconds
-- Seconds until the next waiting order is due or the next lease lapses, by the clock of the database. While all imports are paused no
-- order is due.
SELECT extract(epoch FROM least((SELECT min(run_after) FROM adi_order
                                  WHERE state = 'waiting' AND NOT EXISTS (SELECT FROM adi_control WHERE paused_at IS NOT NULL)),
                                (SELECT min(lease_until) FROM adi_order WHERE state = 'running')) - clock_timestamp())

-- pending
-- How many orders have not come to their end.
SELECT count(*) FROM (SELECT uuid FROM adi_order WHERE state = 'waiting'
                      UNION SELECT uuid FROM adi_order WHERE state = 'running'
                      UNION SELECT uuid FROM adi_inbox WHERE not_before <= now()) AS open
