-- record
-- Write a line of the ledger, if the lease still holds. The order's row is locked meanwhile, so that no takeover comes in between.
WITH held AS (
    SELECT uuid FROM adi_order WHERE uuid = :uuid AND lease_token = :token AND state = 'running' FOR SHARE
)
INSERT INTO adi_file AS f (uuid, key, entry, output, route, step, fileset, images, plates, error)
SELECT held.uuid, :key, :entry, :output, :route, :step, :fileset, CAST(:images AS bigint[]), CAST(:plates AS bigint[]), :error
  FROM held
ON CONFLICT (uuid, key) DO UPDATE
   SET entry = excluded.entry, output = excluded.output, route = excluded.route, step = excluded.step, fileset = excluded.fileset,
       images = excluded.images, plates = excluded.plates, error = excluded.error, changed_at = now()
RETURNING f.uuid
