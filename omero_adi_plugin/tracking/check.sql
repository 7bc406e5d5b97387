-- taken_over
-- When a service first started on this database, if one ever did.
SELECT taken_over_at FROM adi_control WHERE taken_over_at IS NOT NULL

-- left_alone
-- Orders that nobody will carry out: pending by their last row, too old for the first start of a service, and never taken in. How
-- many, and the newest three. A row without a timestamp that the first start has passed over was too old for it.
SELECT p.uuid, count(*) OVER () AS amount
  FROM imports p
 WHERE p.stage = 'Import Pending'
   AND (p.timestamp <= now() - make_interval(days => :pending_days)
        OR (p.timestamp IS NULL AND p.id <= (SELECT taken_over_id FROM adi_control)))
   AND NOT EXISTS (SELECT FROM adi_order o WHERE o.uuid = p.uuid)
   AND NOT EXISTS (SELECT FROM adi_inbox i WHERE i.uuid = p.uuid)
   AND NOT EXISTS (SELECT FROM imports r WHERE r.uuid = p.uuid AND r.id > p.id)
 ORDER BY p.id DESC LIMIT 3

-- another_importer
-- What another importer began in the last days, the newest three.
SELECT uuid, at, count(*) OVER () AS amount
  FROM adi_action WHERE action = 'another importer' AND at > now() - make_interval(days => :days)
 ORDER BY at DESC, id DESC LIMIT 3

-- put_off
-- Orders that could not be taken in, whatever is in their rows, and are tried again later; the newest three.
SELECT uuid, count(*) OVER () AS amount
  FROM adi_inbox WHERE not_before > now() GROUP BY uuid ORDER BY max(id) DESC LIMIT 3

-- draining
-- Whether a pause holds for the orders that run, too.
SELECT draining FROM adi_control

-- services
-- The services that say that they are at work, and those that once said so and then nothing more, if none has taken their place on the
-- same host. With the trouble that they, or workers of theirs, are in.
SELECT host || ':' || pid AS name, seen_at, silent,
       coalesce(trouble, (SELECT min(w ->> 'trouble') FROM jsonb_array_elements(workers) w)) AS trouble, trouble_since
  FROM (SELECT *, seen_at < now() - make_interval(secs => :silent_seconds) AS silent FROM adi_service) s
 WHERE NOT silent OR NOT EXISTS (SELECT FROM adi_service n WHERE n.host = s.host AND n.started_at > s.seen_at)
 ORDER BY name

-- work
-- Whether a service is connected, and how many orders have nothing to wait for but one.
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'adi service' AND datname = current_database()) AS connected,
       (SELECT count(*) FROM (SELECT uuid FROM adi_order WHERE state = 'waiting' AND run_after <= now()
                              UNION SELECT uuid FROM adi_inbox WHERE not_before <= now()) AS due) AS due

-- silent
-- Orders whose worker has been silent for much longer than any service would leave them to it.
SELECT uuid, count(*) OVER () AS amount
  FROM adi_order WHERE state = 'running' AND lease_until < now() - make_interval(secs => :seconds)
 ORDER BY lease_until DESC LIMIT 3

-- unswept
-- Orders of which OMERO should have been looked at once more long ago, the three that ended last.
SELECT uuid, count(*) OVER () AS amount
  FROM adi_order
 WHERE unswept_since IS NOT NULL AND state IN ('completed', 'failed', 'cancelled') AND finished_at < now() - make_interval(secs => :seconds)
 ORDER BY finished_at DESC LIMIT 3

-- asked_containers
-- Which converters the orders of the last days ask for, how many orders each, and the newest of those.
SELECT p.container, count(DISTINCT i.uuid) AS orders, (array_agg(i.uuid ORDER BY i.id DESC))[1] AS newest
  FROM imports i JOIN imports_preprocessing p ON p.id = i.preprocessing_id
 WHERE i.timestamp > now() - make_interval(days => :days)
 GROUP BY p.container ORDER BY orders DESC, p.container LIMIT 100
