-- state
-- Whether the trigger is there and switched on, and whether its function can do its work: with the rights of an account that may
-- write into the inbox, and looking for it where it is. A restore, or a schema that was renamed, can spoil that unnoticed, because
-- the function swallows what goes wrong in it. Names are looked up along the search path, as in all our statements.
SELECT t.tgenabled IN ('O', 'A') AS enabled,
       coalesce(p.prosecdef
                AND p.proconfig = ARRAY['search_path=pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp']
                AND has_table_privilege(p.proowner, i.oid, 'INSERT'), false) AS works
  FROM pg_trigger t
  JOIN pg_proc p ON p.oid = t.tgfoid
  LEFT JOIN pg_class i ON i.oid = to_regclass('adi_inbox')
  LEFT JOIN pg_namespace n ON n.oid = i.relnamespace
 WHERE t.tgrelid = to_regclass('imports') AND t.tgname = 'adi_note_pending'

-- schema
-- The schema of our tables, quoted.
SELECT quote_ident(n.nspname) FROM pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace WHERE i.oid = to_regclass('adi_inbox')

-- drop_trigger
-- Producers that are in the middle of a transaction are waited for.
DROP TRIGGER adi_note_pending ON imports

-- drop_function
-- The trigger is gone by then.
DROP FUNCTION IF EXISTS {schema}.adi_note_pending()

-- make_function
-- The same as the migration makes; a test compares them. It runs with the rights of its owner, because a producer's account knows
-- nothing of our tables; hence the fixed search path. Whatever goes wrong in it is swallowed: a producer's insert never fails for our
-- sake; the reconciling scan finds the row later.
CREATE FUNCTION {schema}.adi_note_pending() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, {schema}, pg_temp
AS $$
BEGIN
    BEGIN
        INSERT INTO {schema}.adi_inbox (uuid) VALUES (NEW.uuid);
        PERFORM pg_notify('adi_inbox', '');
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    RETURN NULL;
END
$$

-- make_trigger
-- On an order that is new, and on the documented SQL that orders again.
CREATE TRIGGER adi_note_pending AFTER INSERT OR UPDATE OF stage ON imports
    FOR EACH ROW WHEN (NEW.stage = 'Import Pending') EXECUTE FUNCTION {schema}.adi_note_pending()
