-- Bundles, the files that belong to versions, and going back to an older version.
ALTER TABLE dag ADD COLUMN bundle TEXT NOT NULL DEFAULT 'dags';
-- The version that the file held when a person went back to the one in `version`; while it holds that, the older one stays.
ALTER TABLE dag ADD COLUMN held_from TEXT;

ALTER TABLE dag_version ADD COLUMN bundle TEXT NOT NULL DEFAULT 'dags';
ALTER TABLE dag_version ADD COLUMN committed_at BIGINT;
ALTER TABLE dag_version ADD COLUMN subject TEXT;

CREATE TABLE bundle_file (
    hash            TEXT PRIMARY KEY NOT NULL,
    content         BYTEA NOT NULL
);

CREATE TABLE dag_version_file (
    dag_id          TEXT NOT NULL,
    version         TEXT NOT NULL,
    path            TEXT NOT NULL,
    hash            TEXT NOT NULL,
    PRIMARY KEY (dag_id, version, path)
);
CREATE INDEX dag_version_file_hash ON dag_version_file (hash);

DROP TABLE import_error;
CREATE TABLE import_error (
    bundle          TEXT NOT NULL,
    file            TEXT NOT NULL,
    dag_id          TEXT,
    message         TEXT NOT NULL,
    at              BIGINT NOT NULL,
    git_commit      TEXT,
    author          TEXT,
    PRIMARY KEY (bundle, file)
);

CREATE TABLE bundle (
    name            TEXT PRIMARY KEY NOT NULL,
    location        TEXT NOT NULL,
    git_commit      TEXT,
    author          TEXT,
    committed_at    BIGINT,
    subject         TEXT,
    loaded_at       BIGINT,
    checked_at      BIGINT,
    trouble         TEXT
);
