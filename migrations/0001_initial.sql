-- One text for SQLite and PostgreSQL. Columns are TEXT, BIGINT, INTEGER (also flags, 0 or 1) and DOUBLE PRECISION only.
-- Instants are microseconds since 1970 in UTC; JSON is TEXT and is never looked into by SQL. Keys are made by the application.
-- There are no foreign keys: rows are written by guarded statements, and removed by pruning.

CREATE TABLE dag (
    dag_id          TEXT PRIMARY KEY NOT NULL,
    file            TEXT NOT NULL,
    version         TEXT NOT NULL,
    paused          INTEGER NOT NULL,
    description     TEXT,
    owner           TEXT,
    tags            TEXT NOT NULL,
    schedule        TEXT,
    first_seen_at   BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    absent_since    BIGINT
);

CREATE TABLE dag_version (
    dag_id          TEXT NOT NULL,
    hash            TEXT NOT NULL,
    file            TEXT NOT NULL,
    source          TEXT NOT NULL,
    git_commit      TEXT,
    author          TEXT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (dag_id, hash)
);

CREATE TABLE dag_run (
    run_key         BIGINT PRIMARY KEY NOT NULL,
    dag_id          TEXT NOT NULL,
    run_id          TEXT NOT NULL,
    run_type        TEXT NOT NULL,
    state           TEXT NOT NULL,
    logical_date    BIGINT,
    interval_start  BIGINT,
    interval_end    BIGINT,
    run_after       BIGINT NOT NULL,
    conf            TEXT NOT NULL,
    dag_version     TEXT NOT NULL,
    triggered_by    TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    started_at      BIGINT,
    ended_at        BIGINT,
    UNIQUE (dag_id, run_id),
    UNIQUE (dag_id, logical_date)
);
CREATE INDEX dag_run_live ON dag_run (run_after) WHERE state IN ('queued', 'running');
CREATE INDEX dag_run_newest ON dag_run (run_after, run_key);
CREATE INDEX dag_run_of_dag ON dag_run (dag_id, run_after, run_key);

-- The hot table: every step of every task changes a row here.
CREATE TABLE task_instance (
    run_key         BIGINT NOT NULL,
    task_id         TEXT NOT NULL,
    map_index       INTEGER NOT NULL,
    state           TEXT NOT NULL,
    attempt         TEXT,
    due_at          BIGINT,
    try_number      INTEGER NOT NULL,
    max_tries       INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    first_poke_at   BIGINT,
    pokes           INTEGER NOT NULL,
    queued_at       BIGINT,
    started_at      BIGINT,
    ended_at        BIGINT,
    routing         TEXT,
    cause           TEXT,
    PRIMARY KEY (run_key, task_id, map_index)
);

CREATE TABLE task_attempt (
    attempt         TEXT PRIMARY KEY NOT NULL,
    run_key         BIGINT NOT NULL,
    task_id         TEXT NOT NULL,
    map_index       INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    try_number      INTEGER NOT NULL,
    queued_at       BIGINT NOT NULL,
    started_at      BIGINT,
    ended_at        BIGINT,
    outcome         TEXT,
    cause           TEXT
);
CREATE INDEX task_attempt_of_instance ON task_attempt (run_key, task_id, map_index);

CREATE TABLE checkpoint (
    run_key         BIGINT NOT NULL,
    task_id         TEXT NOT NULL,
    map_index       INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    value           TEXT NOT NULL,
    saved_at        BIGINT NOT NULL,
    PRIMARY KEY (run_key, task_id, map_index, generation)
);

CREATE TABLE xcom (
    run_key         BIGINT NOT NULL,
    task_id         TEXT NOT NULL,
    map_index       INTEGER NOT NULL,
    name            TEXT NOT NULL,
    value           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (run_key, task_id, map_index, name)
);

CREATE TABLE rendered_fields (
    run_key         BIGINT NOT NULL,
    task_id         TEXT NOT NULL,
    map_index       INTEGER NOT NULL,
    fields          TEXT NOT NULL,
    rendered_at     BIGINT NOT NULL,
    PRIMARY KEY (run_key, task_id, map_index)
);

-- `password` and `extra` hold sealed text only.
CREATE TABLE connection (
    conn_id         TEXT PRIMARY KEY NOT NULL,
    conn_type       TEXT NOT NULL,
    description     TEXT,
    host            TEXT,
    login           TEXT,
    password        TEXT,
    schema_name     TEXT,
    port            INTEGER,
    extra           TEXT,
    changed_at      BIGINT NOT NULL
);

-- `value` holds sealed text only.
CREATE TABLE variable (
    name            TEXT PRIMARY KEY NOT NULL,
    value           TEXT NOT NULL,
    description     TEXT,
    changed_at      BIGINT NOT NULL
);

CREATE TABLE pool (
    name            TEXT PRIMARY KEY NOT NULL,
    slots           INTEGER NOT NULL,
    description     TEXT,
    include_deferred INTEGER NOT NULL
);
INSERT INTO pool (name, slots, description, include_deferred)
VALUES ('default_pool', 128, 'Default pool', 0);

CREATE TABLE process (
    process_id      TEXT PRIMARY KEY NOT NULL,
    kind            TEXT NOT NULL,
    host            TEXT NOT NULL,
    pid             INTEGER NOT NULL,
    version         TEXT NOT NULL,
    started_at      BIGINT NOT NULL,
    seen_at         BIGINT NOT NULL
);

CREATE TABLE audit_log (
    id              TEXT PRIMARY KEY NOT NULL,
    at              BIGINT NOT NULL,
    who             TEXT NOT NULL,
    action          TEXT NOT NULL,
    object          TEXT NOT NULL,
    detail          TEXT
);
CREATE INDEX audit_log_newest ON audit_log (at, id);

CREATE TABLE import_error (
    file            TEXT PRIMARY KEY NOT NULL,
    dag_id          TEXT,
    message         TEXT NOT NULL,
    at              BIGINT NOT NULL
);

CREATE TABLE command (
    id              TEXT PRIMARY KEY NOT NULL,
    kind            TEXT NOT NULL,
    payload         TEXT NOT NULL,
    who             TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    done_at         BIGINT,
    result          TEXT
);
CREATE INDEX command_pending ON command (id) WHERE done_at IS NULL;

CREATE TABLE event_log (
    id              TEXT PRIMARY KEY NOT NULL,
    at              BIGINT NOT NULL,
    dag_id          TEXT,
    run_id          TEXT,
    task_id         TEXT,
    map_index       INTEGER,
    what            TEXT NOT NULL,
    who             TEXT NOT NULL,
    detail          TEXT
);
CREATE INDEX event_log_of_run ON event_log (dag_id, run_id, id);

CREATE TABLE fact (
    name            TEXT PRIMARY KEY NOT NULL,
    value           TEXT NOT NULL
);
