-- Assets have no row of their own: they are the names that DAGs refer to and that events carry.

-- What the newest version of each DAG says of assets and aliases. role: schedule, schedule_alias, outlet, outlet_alias,
-- inlet, inlet_alias. task_id is '' for a schedule. since is kept over versions.
CREATE TABLE asset_reference (
    dag_id          TEXT NOT NULL,
    role            TEXT NOT NULL,
    task_id         TEXT NOT NULL,
    name            TEXT NOT NULL,
    since           BIGINT NOT NULL,
    PRIMARY KEY (dag_id, role, task_id, name)
);
CREATE INDEX asset_reference_by_name ON asset_reference (name);

-- event_id is the instant, which is unique.
CREATE TABLE asset_event (
    event_id        BIGINT PRIMARY KEY NOT NULL,
    uri             TEXT NOT NULL,
    extra           TEXT NOT NULL,
    who             TEXT NOT NULL,
    source_dag_id   TEXT,
    source_run_id   TEXT,
    source_task_id  TEXT,
    source_map_index INTEGER
);
CREATE INDEX asset_event_of_asset ON asset_event (uri, event_id);

CREATE TABLE asset_event_alias (
    alias           TEXT NOT NULL,
    event_id        BIGINT NOT NULL,
    PRIMARY KEY (alias, event_id)
);
CREATE INDEX asset_event_alias_of_event ON asset_event_alias (event_id);

-- Every asset that has ever come through an alias.
CREATE TABLE asset_alias (
    alias           TEXT NOT NULL,
    uri             TEXT NOT NULL,
    PRIMARY KEY (alias, uri)
);

-- What waits to bring about a run.
CREATE TABLE asset_queue (
    dag_id          TEXT NOT NULL,
    uri             TEXT NOT NULL,
    queued_at       BIGINT NOT NULL,
    PRIMARY KEY (dag_id, uri)
);

-- The events that an asset-triggered run stands for.
CREATE TABLE asset_run_event (
    run_key         BIGINT NOT NULL,
    event_id        BIGINT NOT NULL,
    PRIMARY KEY (run_key, event_id)
);
CREATE INDEX asset_run_event_of_event ON asset_run_event (event_id);
CREATE INDEX dag_run_by_assets ON dag_run (dag_id, run_after) WHERE run_type = 'asset_triggered';
