-- The data interval of the newest scheduled run that was passed over, because there was no place for it.
ALTER TABLE dag ADD COLUMN passed_start BIGINT;
ALTER TABLE dag ADD COLUMN passed_end BIGINT;

-- The run before a run, where those made by hand do not count.
CREATE INDEX dag_run_by_schedule ON dag_run (dag_id, logical_date) WHERE run_type <> 'manual';

-- What is to be sent. A row is written together with what it tells of, and sent afterwards, as often as it takes.
CREATE TABLE notification (
    id              TEXT PRIMARY KEY NOT NULL,
    dag_id          TEXT NOT NULL,
    run_key         BIGINT,
    task_id         TEXT,
    map_index       INTEGER,
    reason          TEXT NOT NULL,
    notifier        TEXT NOT NULL,
    facts           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    due_at          BIGINT,
    tries           INTEGER NOT NULL,
    sent_at         BIGINT,
    error           TEXT
);
CREATE INDEX notification_due ON notification (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX notification_newest ON notification (created_at, id);

-- Each deadline that was missed, once for what it counts from. `run_key` is 0 for deadlines of a DAG as a whole.
CREATE TABLE missed_deadline (
    dag_id          TEXT NOT NULL,
    run_key         BIGINT NOT NULL,
    deadline        TEXT NOT NULL,
    counted_from    BIGINT NOT NULL,
    missed_at       BIGINT NOT NULL,
    PRIMARY KEY (dag_id, run_key, deadline, counted_from)
);
