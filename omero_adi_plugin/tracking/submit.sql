-- append
-- Order an import: a pending row, newer than all of the same order. The trigger tells the services of it. It names no column that
-- the oldest tables lack, and needs no rights but SELECT and INSERT.
INSERT INTO imports (uuid, stage, user_name, group_name, destination_type, destination_id, files, file_names, preprocessing_id,
                     timestamp)
VALUES (:uuid, 'Import Pending', :user, :group, :destination_type, :destination_id, :files, :file_names, :preprocessing_id,
        greatest(clock_timestamp(), (SELECT max(r.timestamp) + interval '1 microsecond' FROM imports r
                                      WHERE r.uuid = :uuid AND r.timestamp < '9999-12-31 UTC')))
RETURNING id

-- claim
-- Queue an order with a lease on it already. No row back: it is running.
INSERT INTO adi_order AS o (uuid, imports_id, user_name, group_name, skip_existing, state, attempt, lease_owner, lease_token,
                            lease_until)
VALUES (:uuid, :imports_id, :user, :group, :skip_existing, 'running', :earlier + 1, :owner, gen_random_uuid(),
        clock_timestamp() + make_interval(secs => :lease_seconds))
ON CONFLICT (uuid) DO UPDATE
   SET imports_id = excluded.imports_id, user_name = excluded.user_name, group_name = excluded.group_name, state = 'running',
       skip_existing = excluded.skip_existing,
       attempt = o.attempt + 1, failures = 0, deaths = 0, lapses = 0, note = NULL, cancel_requested = false, cancelled_by = NULL,
       finished_at = NULL, places = 0, doing = NULL,
       lease_owner = excluded.lease_owner, lease_token = excluded.lease_token, lease_until = excluded.lease_until
 WHERE o.state <> 'running'
RETURNING o.attempt, o.lease_token, o.lease_until

-- wait
-- Queue an order that wants something which its row in `imports` has no room for. No row back: it is running.
INSERT INTO adi_order AS o (uuid, imports_id, user_name, group_name, skip_existing, priority, attempt)
VALUES (:uuid, :imports_id, :user, :group, :skip_existing, :priority, :earlier)
ON CONFLICT (uuid) DO UPDATE
   SET imports_id = excluded.imports_id, user_name = excluded.user_name, group_name = excluded.group_name,
       skip_existing = excluded.skip_existing, priority = excluded.priority, state = 'waiting', run_after = now(), failures = 0,
       deaths = 0, lapses = 0, held_up = 0, note = 'ordered again', cancel_requested = false, cancelled_by = NULL, finished_at = NULL
 WHERE o.state <> 'running'
RETURNING o.uuid

-- drop_event
-- Forget what the trigger has noted of an order that is already being carried out.
DELETE FROM adi_inbox WHERE uuid = :uuid
