-- Since when a cleared run waits again; none for one that was never cleared.
ALTER TABLE dag_run ADD COLUMN queued_at BIGINT;

-- Since when the scheduler has known the DAG to be at work, with deadlines; unpausing begins anew.
ALTER TABLE dag ADD COLUMN active_since BIGINT;

-- The last success of a DAG. Runs of backfills say nothing about how fresh its data is.
CREATE INDEX dag_run_success ON dag_run (dag_id, ended_at) WHERE state = 'success' AND run_type <> 'backfill';

-- What a DAG has missed, newest first.
CREATE INDEX missed_deadline_newest ON missed_deadline (dag_id, missed_at);
