-- What tasks have asked people, one question for each try, and the answers. A question is open while it has no answer and
-- its try goes on.
CREATE TABLE approval (
    run_key         BIGINT NOT NULL,
    task_id         TEXT NOT NULL,
    map_index       INTEGER NOT NULL,
    try_number      INTEGER NOT NULL,
    generation      INTEGER NOT NULL,
    question        TEXT NOT NULL,
    asked_at        BIGINT NOT NULL,
    answer          TEXT,
    answered_at     BIGINT,
    PRIMARY KEY (run_key, task_id, map_index, try_number)
);
CREATE INDEX approval_open ON approval (asked_at) WHERE answered_at IS NULL;
CREATE INDEX approval_newest ON approval (asked_at);
