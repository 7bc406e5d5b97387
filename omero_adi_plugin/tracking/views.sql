-- one_moment
-- Let all of a report be of one moment, and change nothing.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- orders
-- Orders with where they stand, the newest first: all, one, those of a user, those in a state. An order that was never taken in has
-- only its rows in `imports`; its state is what the newest of them says, nothing if that is no stage of the contract. The same holds
-- for one that was ordered again after its end and is not yet taken in: else a program that waits for it would see the old outcome.
-- An order is listed where its last row is. So the table is read backwards, and only until there are enough.
WITH orders AS (
    SELECT n.uuid, n.id AS last_id, s.stage, s.description, s.user_name, s.group_name, s.destination_type, s.destination_id,
           CASE WHEN o.state IN ('completed', 'failed', 'cancelled') AND s.stage = 'Import Pending' AND s.id > o.imports_id
                THEN 'waiting'
                ELSE coalesce(o.state, CASE s.stage WHEN 'Import Pending' THEN 'waiting' WHEN 'Import Started' THEN 'running'
                                                    WHEN 'Import Preprocessing' THEN 'running'
                                                    WHEN 'Import Completed' THEN 'completed'
                                                    WHEN 'Import Failed' THEN 'failed' END) END AS state,
           coalesce(o.attempt, 0) AS attempt, o.note, o.lease_owner, o.lease_until,
           CASE o.state WHEN 'waiting' THEN o.run_after END AS next_try
      FROM imports n
      CROSS JOIN LATERAL (SELECT * FROM imports r WHERE r.uuid = n.uuid
                           ORDER BY r.timestamp DESC NULLS LAST, r.id DESC LIMIT 1) s
      LEFT JOIN adi_order o ON o.uuid = n.uuid
     WHERE (CAST(:uuid AS text) IS NULL OR n.uuid = :uuid) AND (CAST(:user AS text) IS NULL OR n.user_name = :user)
       AND NOT EXISTS (SELECT FROM imports l WHERE l.uuid = n.uuid AND l.id > n.id)
)
SELECT * FROM orders WHERE (CAST(:state AS text) IS NULL OR state = :state) ORDER BY last_id DESC LIMIT :limit

-- stages
-- The trail of an order, oldest first. A time that no calendar of a program holds is left out.
SELECT stage, description, CASE WHEN timestamp BETWEEN '0001-01-02 UTC' AND '9999-12-30 UTC' THEN timestamp END AS time
  FROM imports WHERE uuid = :uuid
 ORDER BY timestamp NULLS FIRST, id

-- actions
-- What people and services did with an order, oldest first.
SELECT at, who, action, detail FROM adi_action WHERE uuid = :uuid ORDER BY at, id

-- attempts
-- Who has tried to carry an order out, when, and how that ended, oldest first.
SELECT attempt, owner, started_at, ended_at, outcome, why FROM adi_attempt WHERE uuid = :uuid ORDER BY attempt
