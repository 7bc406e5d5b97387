-- lock
-- One migration at a time, of whatever program: the former importer takes the same lock. It is given back with the transaction.
SELECT pg_advisory_xact_lock(hashtext('omeroadi_migrations'))

-- limit_waiting
-- How long to wait for a table that others write to, in this transaction.
SELECT set_config('lock_timeout', :milliseconds, true)
