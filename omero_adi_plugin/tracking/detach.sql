-- running
-- Whose leases on orders hold.
SELECT uuid, lease_owner FROM adi_order WHERE state = 'running' AND lease_until > clock_timestamp() ORDER BY lease_until, uuid

-- connections
-- What of ours is connected to this database; an account without rights does not see from where.
SELECT pid, application_name, coalesce(host(client_addr), 'an unknown or the same host') AS host
  FROM pg_stat_activity
 WHERE datname = current_database() AND application_name IN ('adi service', 'adi worker', 'adi lease', 'omero-adi bell')
 ORDER BY application_name, pid

-- services
-- What says that it is at work, even if it is not connected just now.
SELECT host, pid FROM adi_service WHERE seen_at > now() - make_interval(secs => :silent_seconds) ORDER BY host, pid

-- stop_claims
-- From here on nobody claims an order or takes one in.
LOCK TABLE adi_inbox, adi_order IN ACCESS EXCLUSIVE MODE

-- unfinished
-- The orders that would still be carried out: those that wait, those whose worker died, and those that were ordered again. With the
-- stage that readers see, the row whose content holds, what the ledger knows to be in OMERO, and whether anything at all can be there:
-- a line that is only planned may have been begun, because OMERO and not the ledger says so after a connection broke.
SELECT u.uuid, o.uuid IS NOT NULL AS known, o.state IN ('waiting', 'running') AS open, newest.stage,
       coalesce((SELECT max(p.id) FROM imports p WHERE p.uuid = u.uuid AND p.stage = 'Import Pending'), newest.id) AS imports_id,
       ARRAY(SELECT f.fileset FROM adi_file f WHERE f.uuid = u.uuid AND f.fileset IS NOT NULL ORDER BY f.id) AS filesets,
       EXISTS (SELECT FROM adi_file f WHERE f.uuid = u.uuid AND f.step <> 'failed') AS begun
  FROM (SELECT uuid FROM adi_order WHERE state IN ('waiting', 'running') UNION SELECT uuid FROM adi_inbox) u
  LEFT JOIN adi_order o ON o.uuid = u.uuid
 CROSS JOIN LATERAL (SELECT r.id, r.stage FROM imports r WHERE r.uuid = u.uuid
                      ORDER BY r.timestamp DESC NULLS FIRST, r.id DESC LIMIT 1) newest
 ORDER BY u.uuid

-- forgotten
-- Those of them that had attempts of which we know nothing any more: they ended, were forgotten, and were ordered again.
SELECT uuid FROM adi_order o
 WHERE state IN ('waiting', 'running') AND attempt > 0 AND NOT EXISTS (SELECT FROM adi_attempt a WHERE a.uuid = o.uuid)

-- drop_version_table
-- The migrations leave it behind, empty.
DROP TABLE alembic_version_omeroadi_plugin
