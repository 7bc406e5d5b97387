-- tell
-- Say that a service is at work, and how it fares. A trouble that it has had before keeps its beginning.
INSERT INTO adi_service AS s (id, host, pid, version, ending, workers, trouble, trouble_since)
VALUES (:id, :host, :pid, :version, :ending, CAST(:workers AS jsonb), :trouble,
        CASE WHEN CAST(:trouble AS text) IS NOT NULL THEN now() END)
ON CONFLICT (id) DO UPDATE
   SET seen_at = now(), ending = excluded.ending, workers = excluded.workers, trouble = excluded.trouble,
       trouble_since = CASE WHEN excluded.trouble IS NOT NULL THEN coalesce(s.trouble_since, now()) END
RETURNING id

-- leave
-- A service has ended.
DELETE FROM adi_service WHERE id = :id
