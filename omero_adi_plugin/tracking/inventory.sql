-- one_moment
-- Let what is listed and what is counted be of one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- orders
-- Orders that have ended and of which something is in OMERO by the ledger: all of them, or one; by user and group, the newest first.
SELECT o.uuid, o.attempt, o.user_name, o.group_name, s.destination_type, s.destination_id
  FROM adi_order o LEFT JOIN imports s ON s.id = o.imports_id
 WHERE (CAST(:uuid AS text) IS NULL OR o.uuid = :uuid) AND o.state IN ('completed', 'failed', 'cancelled')
   AND NOT EXISTS (SELECT FROM adi_inbox i WHERE i.uuid = o.uuid)
   AND EXISTS (SELECT FROM adi_file f
                WHERE f.uuid = o.uuid AND f.step IN ('imported', 'annotated') AND f.fileset IS NOT NULL)
 ORDER BY o.user_name, o.group_name, o.imports_id DESC

-- open
-- How many orders there are that have not ended, or were ordered again, and of which something is in OMERO already.
SELECT count(*) FROM adi_order o
 WHERE (CAST(:uuid AS text) IS NULL OR o.uuid = :uuid)
   AND (o.state IN ('waiting', 'running') OR EXISTS (SELECT FROM adi_inbox i WHERE i.uuid = o.uuid))
   AND EXISTS (SELECT FROM adi_file f
                WHERE f.uuid = o.uuid AND f.step IN ('imported', 'annotated') AND f.fileset IS NOT NULL)

-- filesets
-- How many filesets the ledger has of such orders.
SELECT count(*) FROM adi_file f WHERE f.uuid = ANY(:uuids) AND f.step IN ('imported', 'annotated') AND f.fileset IS NOT NULL

-- lines
-- The next lines of the ledgers of some orders, of filesets that are in OMERO.
SELECT f.uuid, f.key, f.entry, f.output, f.route, f.step, f.fileset, f.images, f.plates, f.error
  FROM adi_file f
 WHERE f.uuid = ANY(:uuids) AND (f.uuid, f.key) > (:after_uuid, :after_key)
   AND f.step IN ('imported', 'annotated') AND f.fileset IS NOT NULL
 ORDER BY f.uuid, f.key LIMIT :most

-- unchanged
-- Which of these lines the ledger has still so, of orders that nobody has ordered again meanwhile.
SELECT f.uuid, f.key
  FROM jsonb_to_recordset(CAST(:lines AS jsonb)) AS l(uuid text, key text, attempt int, fileset bigint)
  JOIN adi_file f ON f.uuid = l.uuid AND f.key = l.key AND f.fileset = l.fileset AND f.step IN ('imported', 'annotated')
  JOIN adi_order o ON o.uuid = l.uuid AND o.attempt = l.attempt AND o.state IN ('completed', 'failed', 'cancelled')
 WHERE NOT EXISTS (SELECT FROM adi_inbox i WHERE i.uuid = l.uuid)

-- known
-- The filesets that the ledger of one order says are in OMERO.
SELECT DISTINCT fileset FROM adi_file WHERE uuid = :uuid AND step IN ('imported', 'annotated') AND fileset IS NOT NULL ORDER BY fileset

-- forget
-- Forget of an order's ledger what is in OMERO no more because a person has removed it. The lines stay, as planned: an entry without
-- a line for each of its filesets would look as if all of it were there.
UPDATE adi_file SET step = 'planned', fileset = NULL, images = '{}', plates = '{}', error = NULL, changed_at = now()
 WHERE uuid = :uuid AND step IN ('imported', 'annotated') AND fileset = ANY(:filesets)
RETURNING key
