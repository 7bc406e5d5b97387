-- append
-- Append a stage to an order's trail. A timestamp beyond the year 9999 is nonsense that nothing can be newer than; it is passed over.
INSERT INTO imports (group_name, user_name, destination_id, destination_type, uuid, files, file_names, preprocessing_id,
                     stage, description, timestamp)
SELECT s.group_name, s.user_name, s.destination_id, s.destination_type, s.uuid, s.files, s.file_names, s.preprocessing_id,
       :stage, :description,
       greatest(clock_timestamp(), (SELECT max(r.timestamp) + interval '1 microsecond' FROM imports r
                                     WHERE r.uuid = s.uuid AND r.timestamp < '9999-12-31 UTC'))
  FROM imports s
 WHERE s.id = :imports_id
RETURNING id

-- attempt
-- Note who began an attempt, and with which row of the trail: an `Import Started` without such a note is another importer's.
INSERT INTO adi_attempt (uuid, attempt, imports_id, owner) VALUES (:uuid, :attempt, :imports_id, :owner)

-- end_attempt
-- Note how an attempt ended.
UPDATE adi_attempt SET ended_at = clock_timestamp(), outcome = :outcome, why = :why WHERE uuid = :uuid AND attempt = :attempt

-- act
-- Note what somebody did.
INSERT INTO adi_action (who, action, uuid, imports_id, detail) VALUES (:who, :action, :uuid, :imports_id, :detail)
