-- SPDX-License-Identifier: GPL-2.0-or-later
-- A database account for the scripts that run on OMERO's Processors: it can do what they need, and no more.
--
-- Why: a script runs as the account of OMERO.server and reads its settings there, so whoever comes by that file has what it names.
-- This account can drop, empty or alter nothing; the trail in `imports`, which others rely on, it can only append to.
--
-- Run it with psql on the database that holds the tables, after `omero adi db upgrade`:
--
--     psql --dbname=DATABASE --file=deploy/roles.sql                      asks for the password of the new account
--     psql --dbname=DATABASE --variable=role=NAME --file=deploy/roles.sql  if it is not to be called adi_scripts
--
-- For a program, which nobody can ask, set the variable `password`; in psql's input, because arguments can be seen by everybody:
--
--     \set password `cat /etc/omero-adi/scripts-password`
--     \i deploy/roles.sql
--
-- Run it again after each upgrade of OMERO ADI: in one transaction it takes away all that the account may do, and grants what
-- this version needs. An existing account keeps its password unless `password` is set. If the tables are in another schema than
-- `public`, let the search path lead to it: PGOPTIONS=--search_path=NAME.
--
-- It takes a superuser; or the owner of the tables, when somebody has made the account before and, before PostgreSQL 15, taken the
-- right to create in the schema from everybody. PostgreSQL 13 or later. docs/service-account.md says what the account can still do.

\set ON_ERROR_STOP on
\if :{?role}
\else
    \set role adi_scripts
\endif

BEGIN;
SELECT set_config('adi.role', :'role', true) AS role \gset

-- The tables are there, and the account is nobody else's.
DO $$
DECLARE
    account text := current_setting('adi.role');
BEGIN
    IF to_regclass('imports') IS NULL OR to_regclass('adi_order') IS NULL THEN
        RAISE EXCEPTION 'The database % has no tables of OMERO ADI where the search path leads to.', current_database()
            USING HINT = 'Run omero adi db upgrade first, and name the database that it is run on.';
    END IF;
    IF account = current_user
       OR EXISTS (SELECT FROM pg_roles WHERE rolname = account
                     AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls))
       OR EXISTS (SELECT FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
                   WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o' AND r.rolname = account) THEN
        RAISE EXCEPTION 'The account % is there already, and owns something or has powers of its own.', account
            USING HINT = 'Choose a name that is used for nothing else: --variable=role=NAME.';
    END IF;
END
$$;

SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') AS is_new, set_config('adi.schema', n.nspname, true) AS schema
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('adi_order') \gset
\if :is_new
    CREATE ROLE :"role" LOGIN;
\endif
\if :{?password}
    ALTER ROLE :"role" PASSWORD :'password';
\elif :is_new
    \password :role
\endif

-- Whatever it was granted before goes, so that nothing is left of what an older version needed. What it could do nevertheless would
-- come from elsewhere, and no grant here could say that it cannot.
DO $$
DECLARE
    account text := current_setting('adi.role');
    place name := current_setting('adi.schema');
    thing record;
BEGIN
    FOR thing IN SELECT oid, relname AS name, relkind = 'r' AS is_table
                   FROM pg_class
                  WHERE relnamespace = quote_ident(place)::regnamespace AND relkind IN ('r', 'S')
                    AND relname ~ '^adi_|^alembic_version_omeroadi|^imports(_preprocessing)?(_id_seq)?$' LOOP
        EXECUTE format('REVOKE ALL ON %s %I.%I FROM %I',
                       CASE WHEN thing.is_table THEN 'TABLE' ELSE 'SEQUENCE' END, place, thing.name, account);
        CONTINUE WHEN NOT thing.is_table;
        IF has_any_column_privilege(account, thing.oid, 'INSERT, UPDATE')
           OR has_table_privilege(account, thing.oid, 'DELETE, TRUNCATE, TRIGGER') THEN
            RAISE EXCEPTION 'The account % may write to % without being granted that here.', account, thing.name
                USING HINT = format('Everybody may, or a role that it is a member of. Run REVOKE ALL ON %I FROM PUBLIC, '
                                    'or take it out of that role.', thing.name);
        END IF;
    END LOOP;
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', place, account);
    IF place <> 'public' THEN
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %I', account, current_database(), place);
    END IF;
END
$$;

-- Before PostgreSQL 15 everybody may create in `public`; and who looks for a table or a function there could be given another one.
-- That is taken from all but those who have something there.
DO $$
DECLARE
    account text := current_setting('adi.role');
    place name := current_setting('adi.schema');
    owner name;
BEGIN
    IF NOT has_schema_privilege(account, place, 'CREATE') THEN
        RETURN;
    END IF;
    FOR owner IN SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = quote_ident(place)::regnamespace
                 UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = quote_ident(place)::regnamespace LOOP
        EXECUTE format('GRANT CREATE ON SCHEMA %I TO %I', place, owner);
    END LOOP;
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', place);
    IF has_schema_privilege(account, place, 'CREATE') THEN
        RAISE EXCEPTION 'The account % may create tables and functions in the schema %.', account, place
            USING HINT = format('Let a superuser run this file. Or first: GRANT CREATE ON SCHEMA %I TO those who need it, '
                                'and REVOKE CREATE ON SCHEMA %I FROM PUBLIC.', place, place);
    END IF;
    RAISE NOTICE 'Only those who own something in the schema % may create in it now. Everybody could before.', place;
END
$$;

GRANT CONNECT ON DATABASE :"DBNAME" TO :"role";
GRANT USAGE ON SCHEMA :"schema" TO :"role";

-- It may see everything: where orders stand is worked out from all of it. What holds for all services (`adi_control`) and what they
-- say of themselves (`adi_service`) it may only see; and the versions of the tables, so that `omero adi check` can be run with it.
GRANT SELECT ON imports, imports_preprocessing, adi_action, adi_attempt, adi_control, adi_conversion, adi_file, adi_inbox, adi_order,
                adi_service, adi_turn, alembic_version_omeroadi, alembic_version_omeroadi_plugin TO :"role";

-- The trail: only ever appended to, with an id that the database gives. The trigger writes to the inbox with its owner's rights.
GRANT INSERT (group_name, user_name, destination_id, destination_type, uuid, files, file_names, preprocessing_id, stage,
              description, timestamp) ON imports TO :"role";
GRANT INSERT (container, input_file, output_folder, alt_output_folder, extra_params) ON imports_preprocessing TO :"role";
GRANT USAGE ON SEQUENCE imports_id_seq, imports_preprocessing_id_seq TO :"role";

-- The queue: to take an order, keep the lease on it, give it back or end it; to have it begun again, or called off. That also
-- lets it lock rows (SELECT … FOR UPDATE). Not among the columns are whose order it is, its priority, and when it came.
GRANT UPDATE (imports_id, state, attempt, failures, deaths, lapses, run_after, note, cancel_requested, cancelled_by, again,
              unswept_since, sweeps, lease_owner, lease_token, lease_until, in_script, held_up, places, doing,
              finished_at) ON adi_order TO :"role";
-- An order that no service has taken in yet is called off by a row of its own.
GRANT INSERT (uuid, imports_id, user_name, group_name, state, attempt, finished_at) ON adi_order TO :"role";
GRANT INSERT (user_name, claimed_at), UPDATE (claimed_at) ON adi_turn TO :"role";
GRANT INSERT (uuid, attempt, imports_id, owner), UPDATE (owner, ended_at, outcome, why) ON adi_attempt TO :"role";

-- The inbox: DELETE for calling an order off, whose events must not have it begun after that. If somebody empties it, the services'
-- scan of pending rows finds the orders within minutes.
GRANT INSERT (uuid), DELETE ON adi_inbox TO :"role";

-- The ledger: DELETE for lines that were only planned, or failed, and that a later attempt does not meet any more. If somebody
-- empties it, nothing is imported twice, for OMERO is asked by the marker that each fileset has; and nothing is swept from OMERO that
-- has the order's key-values.
GRANT INSERT (uuid, key, entry, output, route, step, fileset, images, plates, error),
      UPDATE (entry, output, route, step, fileset, images, plates, error, changed_at), DELETE ON adi_file TO :"role";

-- What converters have made: whoever forges it can have other files of the same folders imported, and no others: each is looked at as
-- a file of the order is.
GRANT INSERT (uuid, entry, attempt, digest, made, delivered), UPDATE (attempt, digest, made, delivered, changed_at)
      ON adi_conversion TO :"role";

-- What people did: only ever appended to.
GRANT INSERT (who, action, uuid, imports_id, detail) ON adi_action TO :"role";
COMMIT;
