-- one_by_one
-- Claims wait for each other, for the moment that one takes: so whoever counts what runs, for a limit, counts right. The pause takes the
-- same lock: no claim is under way when it holds.
SELECT pg_advisory_xact_lock(hashtext('adi_claim'))

-- candidates
-- A part of others: what could be claimed now. Of each user, in each group, the order that is due first; the index is entered once for
-- each of these pairs, however many orders wait. A user or a group that is at its limit has no candidate, and nobody has when no place
-- is left or all imports are paused. For a script nobody has when as many orders are in scripts as may be, nor a user in a group where
-- scripts could not carry an order out, until that is tried again; and then it is that order which finds out whether the trouble has
-- passed. What runs without a place, a command or a worker of an older version, is to have the next one: it looks for it now and then
-- only, and would never be quicker. One order may be left out of account, as if it did not run. What only some callers ask for stands in
-- a part of its own: for the values themselves PostgreSQL would find cheaper plans, and make one for each claim.
asked AS MATERIALIZED (
    SELECT CAST(:in_script AS boolean) AS in_script, CAST(:scripts AS integer) AS scripts
), heads AS (
    (SELECT -priority AS rank, user_name, group_name FROM adi_order WHERE state = 'waiting'
      ORDER BY -priority, user_name, group_name LIMIT 1)
    UNION ALL
    SELECT n.rank, n.user_name, n.group_name
      FROM heads h
      CROSS JOIN LATERAL (SELECT -priority AS rank, user_name, group_name FROM adi_order
                           WHERE state = 'waiting' AND (-priority, user_name, group_name) > (h.rank, h.user_name, h.group_name)
                           ORDER BY -priority, user_name, group_name LIMIT 1) n
), running AS MATERIALIZED (
    SELECT user_name, group_name, CASE WHEN lease_until > clock_timestamp() THEN greatest(places, 1) ELSE 0 END AS places,
           in_script AND lease_until > clock_timestamp() AS in_script
      FROM adi_order WHERE state = 'running' AND uuid IS DISTINCT FROM CAST(:without AS text)
), candidates AS (
    SELECT o.uuid, h.rank, h.user_name, h.group_name, o.run_after, o.imports_id, t.claimed_at
      FROM heads h
      CROSS JOIN LATERAL ((SELECT uuid, run_after, imports_id, 1 AS choice FROM adi_order
                            WHERE (SELECT in_script FROM asked) AND state = 'waiting' AND held_up > 0 AND -priority = h.rank
                              AND user_name = h.user_name AND group_name = h.group_name
                            ORDER BY run_after, imports_id LIMIT 1)
                           UNION ALL
                          (SELECT uuid, run_after, imports_id, 2 AS choice FROM adi_order
                            WHERE state = 'waiting' AND -priority = h.rank
                              AND user_name = h.user_name AND group_name = h.group_name
                            ORDER BY run_after, imports_id LIMIT 1)
                           ORDER BY choice LIMIT 1) o
      LEFT JOIN adi_turn t ON t.user_name = h.user_name
     WHERE o.run_after <= clock_timestamp()
       AND (SELECT count(*) FROM running r WHERE r.user_name = h.user_name) < coalesce(:per_user, 2147483647)
       AND (SELECT count(*) FROM running r WHERE r.group_name = h.group_name) < coalesce(:per_group, 2147483647)
       AND (SELECT coalesce(sum(places), 0) FROM running) < :in_flight
       AND (NOT (SELECT in_script FROM asked)
            OR ((SELECT count(*) FROM running r WHERE r.in_script) < coalesce((SELECT scripts FROM asked), 2147483647)
                AND NOT EXISTS (SELECT FROM adi_order w
                                 WHERE w.state = 'waiting' AND w.held_up > 0 AND w.user_name = h.user_name
                                   AND w.group_name = h.group_name AND w.run_after > clock_timestamp())))
       AND NOT EXISTS (SELECT FROM adi_control WHERE paused_at IS NOT NULL)
)

-- claim
-- Take the next order, or none, and say so in its trail. Users take turns: the one whose last turn is longest ago comes first. The token
-- is the caller's: whoever asks again with it, because the answer got lost, gets the same order, with a new lease. Rows that others have
-- locked are passed over: one after the other is tried, so that no more is locked than what is taken, and no plan reads all that wait.
-- A script that goes on, and acts for one user in one group, takes none but theirs, and none that was begun before: what was
-- interrupted is to have a script's whole life.
-- All of it is one statement with a short answer, so that the lock of all claims is never held by a process that
-- does something else meanwhile, nor by one that does not take its answer.
WITH RECURSIVE {+candidates}, whose AS MATERIALIZED (
    SELECT CAST(:user AS text) AS user_name, CAST(:group AS text) AS group_name
), mine AS (
    UPDATE adi_order SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
     WHERE state = 'running' AND lease_token = CAST(:token AS uuid) AND lease_until > clock_timestamp()
    RETURNING *
), next AS (
    SELECT o.uuid
      FROM (SELECT uuid FROM candidates
             WHERE NOT EXISTS (SELECT FROM mine)
               AND user_name = coalesce((SELECT user_name FROM whose), user_name)
               AND group_name = coalesce((SELECT group_name FROM whose), group_name)
             ORDER BY rank, claimed_at NULLS FIRST, run_after, imports_id) c
      CROSS JOIN LATERAL (SELECT uuid FROM adi_order
                           WHERE uuid = c.uuid AND state = 'waiting' AND (attempt = 0 OR (SELECT user_name FROM whose) IS NULL)
                             FOR UPDATE SKIP LOCKED) o
     LIMIT 1
), taken AS (
    UPDATE adi_order o
       SET state = 'running', attempt = o.attempt + 1, places = 1, doing = NULL, in_script = (SELECT in_script FROM asked),
           lease_owner = :owner, lease_token = CAST(:token AS uuid),
           lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
      FROM next WHERE o.uuid = next.uuid
    RETURNING o.*
), turn AS (
    INSERT INTO adi_turn (user_name, claimed_at) SELECT user_name, clock_timestamp() FROM taken
    ON CONFLICT (user_name) DO UPDATE SET claimed_at = excluded.claimed_at
), started AS (
    INSERT INTO imports (group_name, user_name, destination_id, destination_type, uuid, files, file_names, preprocessing_id,
                         stage, description, timestamp)
    SELECT s.group_name, s.user_name, s.destination_id, s.destination_type, s.uuid, s.files, s.file_names, s.preprocessing_id,
           'Import Started',
           CASE WHEN t.attempt > 1 THEN left('Attempt ' || t.attempt || ': ' || coalesce(t.note, 'ordered again'), 500) END,
           greatest(clock_timestamp(), (SELECT max(r.timestamp) + interval '1 microsecond' FROM imports r
                                         WHERE r.uuid = s.uuid AND r.timestamp < '9999-12-31 UTC'))
      FROM taken t JOIN imports s ON s.id = t.imports_id
    RETURNING id
), noted AS (
    INSERT INTO adi_attempt (uuid, attempt, imports_id, owner)
    SELECT uuid, attempt, (SELECT id FROM started), lease_owner FROM taken
)
SELECT uuid, imports_id, attempt, failures, skip_existing, places, lease_owner, lease_token, lease_until,
       CASE WHEN cancel_requested THEN coalesce(cancelled_by, '') END AS cancelled_by, again
  FROM (SELECT * FROM taken UNION ALL SELECT * FROM mine) c

-- hand_over
-- Give an order to the script that was launched for it. Whoever says the token of the launch, and acts for whom the order names now, gets
-- a lease of their own, in place of the one that held meanwhile: so it is given once, and neither the launcher nor another script can
-- write anything after that. Asked again with the same new token, because the answer got lost, it gives the same. No row back: it is not
-- for this script.
WITH taken AS (
    UPDATE adi_order o
       SET lease_owner = :owner, lease_token = CAST(:token AS uuid),
           lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
      FROM imports s
     WHERE o.uuid = :uuid AND o.state = 'running' AND o.in_script AND o.lease_until > clock_timestamp()
       AND o.lease_token IN (CAST(:launch AS uuid), CAST(:token AS uuid))
       AND s.id = o.imports_id AND s.user_name = :user AND s.group_name = :group
    RETURNING o.*
), noted AS (
    UPDATE adi_attempt a SET owner = t.lease_owner FROM taken t WHERE a.uuid = t.uuid AND a.attempt = t.attempt
)
SELECT uuid, imports_id, attempt, failures, skip_existing, places, lease_owner, lease_token, lease_until,
       CASE WHEN cancel_requested THEN coalesce(cancelled_by, '') END AS cancelled_by, again
  FROM taken

-- handed_over
-- Whether an attempt is in other hands than those that began it.
SELECT EXISTS (SELECT FROM adi_attempt WHERE uuid = :uuid AND attempt = :attempt AND owner <> :owner)

-- others_due
-- Whether an order of another user could be claimed now.
WITH RECURSIVE {+candidates}
SELECT EXISTS (SELECT FROM candidates WHERE user_name <> :user)

-- content
-- What was ordered, in one row; nothing in it if somebody has deleted that. It may be many megabytes, so it is not part of the claim.
SELECT s.user_name, s.group_name, s.destination_type, s.destination_id, s.files, s.file_names, p.id AS preprocessing_id,
       p.container, p.input_file, p.output_folder, p.alt_output_folder, CAST(p.extra_params AS text) AS extra_params
  FROM (SELECT CAST(:imports_id AS bigint) AS id) o
  LEFT JOIN imports s ON s.id = o.id
  LEFT JOIN imports_preprocessing p ON p.id = s.preprocessing_id

-- others_wait
-- Whether an order of another user waits that could be carried out if this one did not run, and would come before it.
WITH RECURSIVE {+candidates}
SELECT EXISTS (SELECT FROM candidates c, adi_order o
                WHERE o.uuid = :without AND c.user_name <> o.user_name AND c.rank <= -o.priority)

-- widen
-- Let an order have more filesets in flight, as far as there are places. The last one is left to those that have none. No row back: the
-- lease is gone.
UPDATE adi_order o
   SET places = least(:wanted, o.places + greatest(least(1 - least(o.places, 1), free.places), free.places - 1, 0))
  FROM (SELECT :in_flight - coalesce(sum(places), 0) AS places
          FROM adi_order WHERE state = 'running' AND lease_until > clock_timestamp()) free
 WHERE o.uuid = :uuid AND o.lease_token = :token AND o.state = 'running' AND o.lease_until > clock_timestamp()
RETURNING o.places

-- wait_if_lapsed
-- Wait for claims to be over before a lease is extended that has lapsed: they may just be giving its places away.
SELECT pg_advisory_xact_lock(hashtext('adi_claim')) FROM adi_order
 WHERE uuid = :uuid AND lease_token = :token AND lease_until <= clock_timestamp()

-- extend
-- Extend a lease, say what is being done, and learn what is wanted of the order. One that has lapsed and that nobody has taken yet comes
-- to life again, unless its places are taken. No row back: the lease is gone, and the worker stops at once and writes nothing more.
UPDATE adi_order o SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds), doing = :doing
 WHERE uuid = :uuid AND lease_token = :token AND state = 'running'
   AND (lease_until > clock_timestamp()
        OR o.places + (SELECT coalesce(sum(r.places), 0) FROM adi_order r
                        WHERE r.state = 'running' AND r.lease_until > clock_timestamp()) <= :in_flight)
RETURNING lease_until, CASE WHEN cancel_requested THEN coalesce(cancelled_by, '') END AS cancelled_by,
          EXISTS (SELECT FROM adi_control WHERE draining) AS draining

-- finish
-- Give an order its outcome. If it was interrupted, OMERO is to be looked at once more, some time from now. No row back: the lease is
-- gone.
UPDATE adi_order
   SET state = :state, note = NULL, finished_at = now(), cancel_requested = false, cancelled_by = NULL, deaths = 0, lapses = 0,
       unswept_since = CASE WHEN attempt > 1 OR unswept_since IS NOT NULL THEN clock_timestamp() END, sweeps = 0, again = false,
       held_up = 0, places = 0, doing = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL
 WHERE uuid = :uuid AND lease_token = :token AND state = 'running'
RETURNING imports_id

-- give_back
-- Let an order wait for another attempt; its user has had a turn until now. Without a pause it keeps its place among those of its user:
-- what was begun is to come to its end. No row back: the lease is gone.
WITH given AS (
    UPDATE adi_order
       SET state = 'waiting', note = :note, failures = coalesce(:failures, failures), deaths = 0, lapses = 0, held_up = 0,
           run_after = CASE WHEN :after_seconds > 0 THEN clock_timestamp() + make_interval(secs => :after_seconds)
                            ELSE least(run_after, now()) END,
           places = 0, doing = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL
     WHERE uuid = :uuid AND lease_token = :token AND state = 'running'
    RETURNING imports_id, user_name
), turn AS (
    INSERT INTO adi_turn (user_name, claimed_at) SELECT user_name, clock_timestamp() FROM given
    ON CONFLICT (user_name) DO UPDATE SET claimed_at = excluded.claimed_at
)
SELECT imports_id FROM given

-- hold_up
-- Let an order wait that a script could not carry out for a reason that is not its own, twice as long each time in a row. No row back:
-- the lease is gone.
UPDATE adi_order
   SET state = 'waiting', note = :note, deaths = 0, lapses = 0, held_up = held_up + 1,
       run_after = clock_timestamp() + make_interval(secs => least(:longest_seconds, :first_seconds * 2.0 ^ least(held_up, 20))),
       places = 0, doing = NULL, lease_owner = NULL, lease_token = NULL, lease_until = NULL
 WHERE uuid = :uuid AND lease_token = :token AND state = 'running'
RETURNING imports_id

-- got_on
-- Whether anything of an order came to its end in an attempt, by the ledger.
SELECT EXISTS (SELECT FROM adi_attempt a JOIN adi_file f ON f.uuid = a.uuid
                WHERE a.uuid = :uuid AND a.attempt = :attempt
                  AND f.step IN ('imported', 'annotated', 'skipped') AND f.changed_at >= a.started_at)

-- wake_claimers
-- Tell all services that an order may be due.
SELECT pg_notify('adi_order', '')

-- wake_limited
-- Tell all services that one order less is running, if others wait: perhaps for that.
SELECT pg_notify('adi_order', '')
 WHERE EXISTS (SELECT FROM adi_order WHERE state = 'waiting' AND run_after <= now())

-- wake_intake
-- Tell all services that something waits in the inbox, if it does: an order was submitted again while it ran.
SELECT pg_notify('adi_inbox', '') WHERE EXISTS (SELECT FROM adi_inbox WHERE uuid = :uuid)

-- next_due_seconds
-- Seconds until the next order is due, by the clock of the database; those that are due already wait for something else. While all
-- imports are paused no order is due.
SELECT extract(epoch FROM min(run_after) - clock_timestamp())
  FROM adi_order
 WHERE state = 'waiting' AND run_after > now() AND NOT EXISTS (SELECT FROM adi_control WHERE paused_at IS NOT NULL)

-- pending
-- How many orders have not come to their end.
SELECT count(*) FROM (SELECT uuid FROM adi_order WHERE state = 'waiting'
                      UNION SELECT uuid FROM adi_order WHERE state = 'running'
                      UNION SELECT uuid FROM adi_inbox WHERE not_before <= now()) AS open
