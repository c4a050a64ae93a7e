-- The database's half of UNLOAD and COPY, and Redshift functions PostgreSQL lacks. `@SPOOL@` is the spool folder.
CREATE SCHEMA windrose_lab;
GRANT USAGE ON SCHEMA windrose_lab TO PUBLIC;

CREATE TABLE public.stl_load_errors (
    starttime timestamp DEFAULT (now() AT TIME ZONE 'utc'), session int, query bigint, tbl text, filename text,
    line_number bigint, colname text, type text, raw_field_value text, err_reason text
);
GRANT SELECT ON public.stl_load_errors TO PUBLIC;

CREATE FUNCTION windrose_lab.ask(question jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $fn$
DECLARE
    id text := gen_random_uuid()::text;
    answer text;
BEGIN
    EXECUTE format('COPY (SELECT %L) TO %L', encode(convert_to(question::text, 'UTF8'), 'hex'), '@SPOOL@/' || id || '.question');
    EXECUTE format('COPY (SELECT %L) TO %L', id, '@SPOOL@/requests');
    LOOP
        answer := pg_read_file('@SPOOL@/' || id || '.answer', 0, 100000000, true);
        EXIT WHEN answer IS NOT NULL;
        PERFORM pg_sleep(0.002);
    END LOOP;
    IF answer::jsonb ? 'error' THEN
        RAISE EXCEPTION USING MESSAGE = answer::jsonb ->> 'error', ERRCODE = answer::jsonb ->> 'state';
    END IF;
    RETURN answer::jsonb;
END $fn$;

CREATE PROCEDURE windrose_lab.unload(statement text) LANGUAGE plpgsql AS $fn$
DECLARE
    plan jsonb;
    records bigint;
BEGIN
    plan := windrose_lab.ask(jsonb_build_object('kind', 'unload', 'statement', statement));
    EXECUTE plan ->> 'run';
    GET DIAGNOSTICS records = ROW_COUNT;
    PERFORM windrose_lab.ask(jsonb_build_object('kind', 'unload_done', 'id', plan ->> 'id', 'rows', records));
    PERFORM set_config('windrose_lab.last_unload_count', records::text, false);
    RAISE INFO 'UNLOAD completed, % record(s) unloaded successfully.', records;
END $fn$;

CREATE PROCEDURE windrose_lab.copy(statement text) LANGUAGE plpgsql AS $fn$
DECLARE
    plan jsonb;
    records bigint;
    reason text;
    place text;
BEGIN
    plan := windrose_lab.ask(jsonb_build_object('kind', 'copy', 'statement', statement));
    BEGIN
        EXECUTE plan ->> 'run';
        GET DIAGNOSTICS records = ROW_COUNT;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT, place = PG_EXCEPTION_CONTEXT;
        -- The lab writes the row by a connection of its own: this transaction is about to be rolled back.
        PERFORM windrose_lab.ask(jsonb_build_object('kind', 'copy_failed', 'id', plan ->> 'id', 'reason', reason,
            'place', place, 'database', current_database(), 'table', plan ->> 'table', 'session', pg_backend_pid(),
            'query', nullif(current_setting('windrose_lab.query_id', true), '')));
        RAISE EXCEPTION USING ERRCODE = 'XX000',
            MESSAGE = format('Load into table ''%s'' failed.  Check ''stl_load_errors'' system table for details.', plan ->> 'table');
    END;
    PERFORM windrose_lab.ask(jsonb_build_object('kind', 'copy_done', 'id', plan ->> 'id'));
    PERFORM set_config('windrose_lab.last_copy_count', records::text, false);
    RAISE INFO 'Load into table ''%'' completed, % record(s) loaded successfully.', plan ->> 'table', records;
END $fn$;

CREATE FUNCTION public.pg_last_unload_count() RETURNS bigint LANGUAGE sql AS
    $$ SELECT coalesce(nullif(current_setting('windrose_lab.last_unload_count', true), ''), '0')::bigint $$;
CREATE FUNCTION public.pg_last_copy_count() RETURNS bigint LANGUAGE sql AS
    $$ SELECT coalesce(nullif(current_setting('windrose_lab.last_copy_count', true), ''), '0')::bigint $$;

CREATE FUNCTION windrose_lab.dateadd(part text, amount numeric, moment timestamp) RETURNS timestamp LANGUAGE sql IMMUTABLE AS
    $$ SELECT moment + (amount::text || ' ' || part)::interval $$;
CREATE FUNCTION windrose_lab.datediff(part text, earlier timestamp, later timestamp) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$
    SELECT CASE
        WHEN part IN ('year', 'years', 'y') THEN extract(year FROM later) - extract(year FROM earlier)
        WHEN part IN ('month', 'months', 'mon') THEN
            (extract(year FROM later) - extract(year FROM earlier)) * 12 + extract(month FROM later) - extract(month FROM earlier)
        ELSE extract(epoch FROM date_trunc(part, later) - date_trunc(part, earlier)) / extract(epoch FROM ('1 ' || part)::interval)
    END::bigint
$$;
