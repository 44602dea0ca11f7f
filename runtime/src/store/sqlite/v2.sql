-- Saved listeners, and which inputs a default filled in. Neither changes at a boundary, as a rule.
ALTER TABLE process ADD COLUMN defaulted TEXT;
ALTER TABLE process ADD COLUMN listeners TEXT;

-- Copies of processes under a tag: what of them changes at a boundary. What never changes is in the process's own row.
CREATE TABLE snapshot (
    pid TEXT NOT NULL,
    tag TEXT NOT NULL,
    at INTEGER NOT NULL,
    process TEXT NOT NULL,
    version INTEGER NOT NULL,
    format INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    outputs TEXT NOT NULL,
    listeners TEXT,
    ended TEXT,
    state TEXT NOT NULL,
    paused INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    open_children INTEGER NOT NULL,
    status TEXT,
    awaiting TEXT,
    position TEXT NOT NULL,
    context TEXT NOT NULL,
    PRIMARY KEY (pid, tag)
) STRICT;
