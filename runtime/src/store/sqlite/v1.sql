-- The first version of the file.

-- Who owns the store: the number of owners so far.
CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO store VALUES (1, 0);

-- What of a process changes seldom.
CREATE TABLE process (
    id INTEGER PRIMARY KEY,
    pid TEXT NOT NULL UNIQUE,
    key TEXT,
    parent INTEGER REFERENCES process (id),
    follows INTEGER NOT NULL DEFAULT 0,
    process TEXT NOT NULL,
    version INTEGER NOT NULL,
    format INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    ended TEXT,
    parked TEXT,
    inputs TEXT NOT NULL,
    outputs TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE UNIQUE INDEX process_key ON process (key) WHERE key IS NOT NULL;
CREATE INDEX process_parent ON process (parent) WHERE parent IS NOT NULL;
CREATE INDEX process_unfinished ON process (id) WHERE ended IS NULL AND parked IS NULL;

-- What of a process changes at every boundary. Short, since a boundary writes the whole row.
CREATE TABLE checkpoint (
    id INTEGER PRIMARY KEY REFERENCES process (id),
    state TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    steps INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL,
    open_children INTEGER NOT NULL DEFAULT 0,
    -- The newest row of its history, and how many there are.
    history INTEGER,
    history_rows INTEGER NOT NULL DEFAULT 0,
    status TEXT,
    awaiting TEXT,
    wake_at INTEGER AS (awaiting ->> '$.wake_at') VIRTUAL,
    position TEXT NOT NULL,
    context TEXT NOT NULL
) STRICT;

-- Which awaited children of a process have not ended.
CREATE TABLE open_child (
    parent INTEGER NOT NULL,
    child INTEGER NOT NULL,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

-- Transitions of all processes, one after the other: a row goes to the end and touches no index. Each names the one
-- before it of the same process.
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    previous INTEGER,
    process INTEGER NOT NULL,
    at INTEGER NOT NULL,
    left_state TEXT NOT NULL,
    entered_state TEXT NOT NULL,
    steps INTEGER NOT NULL,
    point TEXT NOT NULL
) STRICT;

CREATE TABLE report (
    process INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    at INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (process, ordinal)
) STRICT, WITHOUT ROWID;

CREATE TABLE memo (
    process INTEGER NOT NULL,
    step INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (process, step, name)
) STRICT, WITHOUT ROWID;

-- Ids are never used twice, so that "after this one" stays true. The process may be unknown.
CREATE TABLE request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pid TEXT NOT NULL,
    request TEXT NOT NULL
) STRICT;
