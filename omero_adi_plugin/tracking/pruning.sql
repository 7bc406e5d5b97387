-- due
-- Whether it is time again, for all services together.
SELECT coalesce(pruned_at < now() - make_interval(secs => :every_seconds), true) AS due FROM adi_control

-- alone
-- One service at a time, until its transaction ends.
SELECT pg_try_advisory_xact_lock(hashtext('adi_prune')) AS alone

-- ended
-- Lock orders that ended long ago, the first ones of them, and say how long their ledgers are, up to a limit. Kept are those
-- - that were ordered again and not yet taken in, whether anything told of it or the scan has still to find it: it must have looked since;
-- - one of whose beginnings is so new that it may still be looked for those of other importers: without the note of it, it would be one;
-- - of which OMERO is to be looked at once more;
-- - whose trail does not say that they ended, because somebody has changed it: once forgotten they would look like new ones.
SELECT o.uuid, (SELECT count(*) FROM (SELECT FROM adi_file f WHERE f.uuid = o.uuid LIMIT :most_lines) AS first_lines) AS lines
  FROM adi_order o
 WHERE o.finished_at < (SELECT least(now() - make_interval(days => :keep_days), coalesce(scanned_at - interval '1 day', '-infinity'))
                          FROM adi_control)
   AND o.state IN ('completed', 'failed', 'cancelled') AND o.unswept_since IS NULL
   AND NOT EXISTS (SELECT FROM adi_inbox i WHERE i.uuid = o.uuid)
   AND NOT EXISTS (SELECT FROM adi_attempt a
                    WHERE a.uuid = o.uuid AND a.imports_id > (SELECT watched_id - :late_ids FROM adi_control))
   AND NOT EXISTS (SELECT FROM imports p
                    WHERE p.uuid = o.uuid AND p.stage = 'Import Pending'
                      AND (p.id > o.imports_id
                           OR NOT EXISTS (SELECT FROM imports r
                                           WHERE r.uuid = p.uuid AND r.stage <> 'Import Pending' AND r.id > p.id)))
   AND coalesce((SELECT n.stage FROM imports n WHERE n.uuid = o.uuid ORDER BY n.timestamp DESC NULLS LAST, n.id DESC LIMIT 1)
                IN ('Import Completed', 'Import Failed'), true)
 ORDER BY o.finished_at LIMIT :batch
   FOR UPDATE OF o SKIP LOCKED

-- forget
-- Forget orders, each with its attempts and the whole of its ledger: a part of it would look as if that were all.
DELETE FROM adi_order WHERE uuid = ANY(:uuids)

-- forget_actions
-- Forget what was done long ago, but not with orders that are still known, nor a beginning of another importer that would be told anew.
DELETE FROM adi_action
 WHERE id IN (SELECT a.id
                FROM adi_action a
               WHERE a.action = ANY(:actions) AND a.at < now() - make_interval(days => :keep_days)
                 AND NOT EXISTS (SELECT FROM adi_order o WHERE o.uuid = a.uuid)
                 AND (a.imports_id IS NULL OR a.action <> 'another importer'
                      OR a.imports_id <= (SELECT watched_id - :late_ids FROM adi_control))
               LIMIT :batch)

-- forget_turns
-- Forget when users had their last turn, if that is long ago: they would be the next ones with it, too.
DELETE FROM adi_turn WHERE claimed_at < now() - make_interval(days => :keep_days)

-- forget_services
-- Forget services that ended without a word.
DELETE FROM adi_service WHERE seen_at < now() - make_interval(secs => :silent_seconds)

-- pruned
-- Note when nothing was left to forget.
UPDATE adi_control SET pruned_at = now()
