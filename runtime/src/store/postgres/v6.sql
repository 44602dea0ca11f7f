-- How far the steps say they are that run: hints of their workers, a few rows each, and no part of any boundary. They are
-- replaced once a second at most, and nobody misses them after a crash.
CREATE UNLOGGED TABLE hint (
    epoch bigint NOT NULL,
    process bigint NOT NULL,
    steps bigint NOT NULL,
    progress bytea NOT NULL
);

CREATE INDEX hint_process ON hint (process);
