-- hold
-- Which row of `imports` says what was ordered, if the lease still holds. The order's row is locked meanwhile. No row back: it is gone.
SELECT imports_id FROM adi_order WHERE uuid = :uuid AND lease_token = :token AND state = 'running' FOR SHARE

-- all
-- What converters have made of the entries of an order.
SELECT entry, attempt, digest, made, delivered FROM adi_conversion WHERE uuid = :uuid ORDER BY entry

-- write
-- Write what a converter has made, if the lease still holds. The order's row is locked meanwhile, so that no takeover comes in between.
-- No row back: the lease is gone.
WITH held AS (
    SELECT uuid FROM adi_order WHERE uuid = :uuid AND lease_token = :token AND state = 'running' FOR SHARE
), written AS (
    INSERT INTO adi_conversion AS c (uuid, entry, attempt, digest, made, delivered)
    SELECT held.uuid, :entry, :attempt, :digest, CAST(:made AS jsonb), :delivered FROM held
    ON CONFLICT (uuid, entry) DO UPDATE
       SET attempt = excluded.attempt, digest = excluded.digest, made = excluded.made, delivered = excluded.delivered,
           changed_at = now()
)
SELECT uuid FROM held
