-- record
-- Write lines of the ledger, if the lease still holds. The order's row is locked meanwhile, so that no takeover comes in between. No
-- row back: the lease is gone. What each attempt only finds again as it was keeps its time: it is no progress of that attempt.
WITH held AS (
    SELECT uuid FROM adi_order WHERE uuid = :uuid AND lease_token = :token AND state = 'running' FOR SHARE
), given AS (
    SELECT l.*, ARRAY(SELECT CAST(i AS bigint) FROM jsonb_array_elements_text(l.image_ids) WITH ORDINALITY e(i, n) ORDER BY n) AS images,
           ARRAY(SELECT CAST(p AS bigint) FROM jsonb_array_elements_text(l.plate_ids) WITH ORDINALITY e(p, n) ORDER BY n) AS plates
      FROM jsonb_to_recordset(CAST(:lines AS jsonb))
           AS l(number int, key text, entry text, output text, route text, step text, fileset bigint, image_ids jsonb, plate_ids jsonb,
                error text)
), written AS (
    INSERT INTO adi_file AS f (uuid, key, entry, output, route, step, fileset, images, plates, error)
    SELECT held.uuid, g.key, g.entry, g.output, g.route, g.step, g.fileset, g.images, g.plates, g.error
      FROM held, given g ORDER BY g.number
    ON CONFLICT (uuid, key) DO UPDATE
       SET entry = excluded.entry, output = excluded.output, route = excluded.route, step = excluded.step,
           fileset = excluded.fileset, images = excluded.images, plates = excluded.plates, error = excluded.error,
           changed_at = CASE WHEN (f.step, f.fileset) IS DISTINCT FROM (excluded.step, excluded.fileset)
                             THEN now() ELSE f.changed_at END
)
SELECT uuid FROM held

-- suspect
-- Have OMERO looked at once more after the end of an order, if the lease still holds. No row back: it is gone.
UPDATE adi_order SET unswept_since = coalesce(unswept_since, clock_timestamp())
 WHERE uuid = :uuid AND lease_token = :token AND state = 'running'
RETURNING uuid

-- forget
-- Forget what earlier attempts have planned, or failed with, and this one has not met, if the lease still holds.
DELETE FROM adi_file f USING adi_order o
 WHERE f.uuid = :uuid AND f.step IN ('planned', 'failed') AND f.key IN (SELECT jsonb_array_elements_text(CAST(:keys AS jsonb)))
   AND o.uuid = f.uuid AND o.lease_token = :token AND o.state = 'running'
