-- lock
-- Lock what holds for all services, so that one of them at a time does this.
SELECT taken_over_at, taken_over_id, watched_id FROM adi_control FOR UPDATE

-- newest
-- The greatest id so far.
SELECT coalesce(max(id), 0) FROM imports

-- fail_begun
-- End every order that the former importer began and did not end. It is unfinished when nothing came after its last beginning, neither
-- by id nor by time: a producer's clock that is hours ahead must not make a begun order look like a new one. The one reading of all rows.
INSERT INTO imports (group_name, user_name, destination_id, destination_type, uuid, files, file_names, preprocessing_id,
                     stage, description, timestamp)
SELECT s.group_name, s.user_name, s.destination_id, s.destination_type, s.uuid, s.files, s.file_names, s.preprocessing_id,
       'Import Failed', :description,
       greatest(clock_timestamp(), (SELECT max(r.timestamp) + interval '1 microsecond' FROM imports r
                                     WHERE r.uuid = s.uuid AND r.timestamp < '9999-12-31 UTC'))
  FROM imports s
 WHERE s.id IN (SELECT max(b.id)
                  FROM imports b
                 WHERE b.stage IN ('Import Started', 'Import Preprocessing') AND b.id <= :newest_id
                   AND NOT EXISTS (SELECT FROM adi_order o WHERE o.uuid = b.uuid)
                   AND NOT EXISTS (SELECT FROM imports r
                                    WHERE r.uuid = b.uuid AND r.id > b.id
                                      AND coalesce(r.timestamp, '-infinity') >= coalesce(b.timestamp, '-infinity'))
                 GROUP BY b.uuid)

-- forget_events
-- Empty the inbox of orders that the former importer may have seen to since the trigger is there. Those that are to be run are found
-- by the scan, which knows what is too old and what has been done.
DELETE FROM adi_inbox i WHERE NOT EXISTS (SELECT FROM adi_order o WHERE o.uuid = i.uuid)

-- take_over
-- Note that this database is ours from here on.
UPDATE adi_control SET taken_over_at = now(), taken_over_id = :newest_id, watched_id = :newest_id

-- foreign_starts
-- Beginnings that are not ours and not yet noted, the first ones of them. A time that no program can hold is left out. That the
-- attempts lie beyond `after_id` as well goes without saying, but the planner would read all of them.
SELECT s.id, s.uuid, CASE WHEN s.timestamp BETWEEN '0001-01-02 UTC' AND '9999-12-30 UTC' THEN s.timestamp END AS at
  FROM imports s
 WHERE s.id > :after_id AND s.id <= :newest_id AND s.stage = 'Import Started'
   AND NOT EXISTS (SELECT FROM adi_attempt a WHERE a.imports_id = s.id AND a.imports_id > :after_id)
   AND NOT EXISTS (SELECT FROM adi_action n
                    WHERE n.uuid = s.uuid AND n.imports_id = s.id AND n.action = 'another importer')
 ORDER BY s.id LIMIT :most

-- watched
-- Note how far it was looked for other importers.
UPDATE adi_control SET watched_id = :watched_id
