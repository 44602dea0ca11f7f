-- The first version of the schema.
--
-- Texts of callers are `bytea`: a `text` of PostgreSQL takes no NUL, and bytes come back as they were, in an order that
-- no locale changes. They are UTF-8, so `convert_from(context, 'UTF8')` shows them. A B-tree takes no long values, hence
-- the unique indexes over hashes, and those over prefixes for the order of listings.
--
-- Ids are never used twice. There are no foreign keys: each would lock a row of another table at every boundary.

-- Who owns the store: the number of owners so far, and whether the last one still does.
CREATE TABLE store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL DEFAULT 0,
    owned boolean NOT NULL DEFAULT false
);
INSERT INTO store DEFAULT VALUES;

CREATE SEQUENCE process_id;

-- What of a process never changes.
CREATE TABLE process (
    id bigint PRIMARY KEY,
    pid bytea NOT NULL,
    key bytea,
    parent bigint,
    follows boolean NOT NULL,
    created_at bigint NOT NULL,
    inputs bytea NOT NULL,
    defaulted bytea
);
CREATE UNIQUE INDEX process_pid ON process (sha256(pid));
CREATE UNIQUE INDEX process_key ON process (sha256(key)) WHERE key IS NOT NULL;
CREATE INDEX process_parent ON process (parent, id) WHERE parent IS NOT NULL;

-- What boundaries change. No index has a column that changes at every boundary, and pages have room for the next
-- version of their rows, so that a boundary touches the table's own page only. Two rows of the size from which on columns
-- are compressed and moved elsewhere fill a page: what changes at every boundary is not worth either before.
CREATE TABLE checkpoint (
    id bigint PRIMARY KEY,
    -- Counts boundaries: one that may have been written is not written again.
    revision bigint NOT NULL DEFAULT 0,
    state text NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    steps bigint NOT NULL DEFAULT 0,
    updated_at bigint NOT NULL,
    -- Rows that its history and its report have had.
    transitions bigint NOT NULL DEFAULT 0,
    reports bigint NOT NULL DEFAULT 0,
    version bigint NOT NULL,
    format bigint NOT NULL,
    process bytea NOT NULL,
    fingerprint bytea NOT NULL,
    -- Empty for none, as are what it awaits and its listeners.
    status bytea NOT NULL DEFAULT '',
    awaiting bytea NOT NULL DEFAULT '',
    listeners bytea NOT NULL DEFAULT '',
    position bytea NOT NULL,
    context bytea NOT NULL,
    outputs bytea NOT NULL DEFAULT '{}',
    ended bytea,
    parked bytea
) WITH (fillfactor = 60, toast_tuple_target = 4080);
CREATE INDEX checkpoint_unfinished ON checkpoint (id) WHERE ended IS NULL AND parked IS NULL;

-- Which awaited children of a process have not ended.
CREATE TABLE open_child (
    parent bigint NOT NULL,
    child bigint NOT NULL,
    PRIMARY KEY (parent, child)
);

CREATE TABLE history (
    process bigint NOT NULL,
    ordinal bigint NOT NULL,
    at bigint NOT NULL,
    steps bigint NOT NULL,
    left_state text NOT NULL,
    entered_state text NOT NULL,
    point bytea NOT NULL,
    PRIMARY KEY (process, ordinal)
);

CREATE TABLE report (
    process bigint NOT NULL,
    ordinal bigint NOT NULL,
    at bigint NOT NULL,
    text bytea NOT NULL,
    PRIMARY KEY (process, ordinal)
);

CREATE TABLE memo (
    process bigint NOT NULL,
    step bigint NOT NULL,
    name bytea NOT NULL,
    value bytea NOT NULL
);
CREATE UNIQUE INDEX memo_name ON memo (process, step, sha256(name));

-- Requests get their ids from a row, not from a sequence: it is locked until they are committed, so that none becomes
-- visible after a later one. The process may be unknown.
CREATE TABLE request_order (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL DEFAULT 0
);
INSERT INTO request_order DEFAULT VALUES;
CREATE TABLE request (
    id bigint PRIMARY KEY,
    pid bytea NOT NULL,
    request bytea NOT NULL
);

-- Copies of processes under a tag: what of them changes at a boundary.
CREATE TABLE snapshot (
    process_id bigint NOT NULL,
    pid bytea NOT NULL,
    tag bytea NOT NULL,
    at bigint NOT NULL,
    state text NOT NULL,
    paused boolean NOT NULL,
    steps bigint NOT NULL,
    updated_at bigint NOT NULL,
    open_children bigint NOT NULL,
    version bigint NOT NULL,
    format bigint NOT NULL,
    process bytea NOT NULL,
    fingerprint bytea NOT NULL,
    status bytea NOT NULL,
    awaiting bytea NOT NULL,
    listeners bytea NOT NULL,
    position bytea NOT NULL,
    context bytea NOT NULL,
    outputs bytea NOT NULL,
    ended bytea,
    PRIMARY KEY (process_id, tag)
);
CREATE INDEX snapshot_order ON snapshot (substr(pid, 1, 64));

-- Replies that processes owe at their end to those who wait elsewhere, until they are sent.
CREATE TABLE owed (
    process bigint NOT NULL,
    pid bytea NOT NULL,
    id bytea NOT NULL,
    address bytea NOT NULL
);
CREATE UNIQUE INDEX owed_id ON owed (process, sha256(id));
CREATE INDEX owed_order ON owed (substr(pid, 1, 64));

-- Transactions whose end may be asked for, by a name that whoever began them gave them: a row is there if it was committed.
-- Who asks adds one that says no, so that the answer stays true. A number of a transaction would not do: after a crash
-- another one may get it.
CREATE TABLE outcome (
    token bytea PRIMARY KEY,
    committed boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
