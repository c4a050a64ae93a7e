-- Notes of runs, and backfills with their dates in the order of their turns. A date whose turn has come has a run or a
-- reason why it has none.
ALTER TABLE dag_run ADD COLUMN note TEXT;

CREATE TABLE backfill (
    backfill_id     BIGINT PRIMARY KEY NOT NULL,
    dag_id          TEXT NOT NULL,
    from_date       BIGINT NOT NULL,
    to_date         BIGINT NOT NULL,
    backwards       INTEGER NOT NULL,
    reprocess       TEXT NOT NULL,
    max_active_runs INTEGER NOT NULL,
    conf            TEXT NOT NULL,
    new_version     INTEGER NOT NULL,
    paused          INTEGER NOT NULL,
    cancelled       INTEGER NOT NULL,
    created_by      TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    ended_at        BIGINT
);
CREATE UNIQUE INDEX backfill_under_way ON backfill (dag_id) WHERE ended_at IS NULL;

CREATE TABLE backfill_run (
    backfill_id     BIGINT NOT NULL,
    place           INTEGER NOT NULL,
    logical_date    BIGINT,
    interval_start  BIGINT,
    interval_end    BIGINT,
    run_after       BIGINT NOT NULL,
    run_key         BIGINT,
    no_run          TEXT,
    PRIMARY KEY (backfill_id, place)
);
