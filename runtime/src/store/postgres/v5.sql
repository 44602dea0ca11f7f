-- By which processes are found by what they are. A step changes none of these columns; a boundary that ends or begins a wait
-- writes the indexes anyhow, since it changes when the process can go on.

-- Of those that have finished: 0 where they did so normally. Written once, at the end.
ALTER TABLE checkpoint ADD COLUMN exit_code integer;

DO $$
DECLARE
    row record;
    exited json;
BEGIN
    FOR row IN SELECT id, ended FROM checkpoint WHERE ended IS NOT NULL AND state = 'finished' LOOP
        BEGIN
            -- A text takes no NUL, and what it says does not matter here.
            exited := replace(convert_from(row.ended, 'UTF8'), '\u0000', '\u0020')::json -> 'exit';
            UPDATE checkpoint SET exit_code = CASE WHEN exited IS NULL THEN 0 ELSE (exited ->> 'number')::integer END
            WHERE id = row.id;
        EXCEPTION WHEN OTHERS THEN
            -- Whoever reads one that is damaged tells of it.
            NULL;
        END;
    END LOOP;
END $$;

ALTER TABLE checkpoint ADD COLUMN failed boolean NOT NULL
    GENERATED ALWAYS AS (state = 'excepted' OR coalesce(exit_code, 0) <> 0) STORED;

CREATE INDEX checkpoint_failed ON checkpoint (id) WHERE failed;
CREATE INDEX checkpoint_paused ON checkpoint (id) WHERE paused;
-- Those that run can go on, or are paused or parked; most that there are have finished, and are looked at in their order.
CREATE INDEX checkpoint_created ON checkpoint (id) WHERE state = 'created';
CREATE INDEX checkpoint_waits ON checkpoint (id) WHERE state = 'waiting';
CREATE INDEX checkpoint_killed ON checkpoint (id) WHERE state = 'killed';
-- There are few names: it is enough to know those of some pages together.
CREATE INDEX checkpoint_name ON checkpoint USING brin (process bytea_bloom_ops) WITH (pages_per_range = 16);
-- One index finds an id or a key, and all that begin alike.
DROP INDEX process_pid, process_key;
CREATE UNIQUE INDEX process_pid ON process ((substr(pid, 1, 64)), sha256(pid));
CREATE UNIQUE INDEX process_key ON process ((substr(key, 1, 64)), sha256(key)) WHERE key IS NOT NULL;
-- Rows stand nearly in the order of their creation: it is enough to know the times of some pages together.
CREATE INDEX process_created ON process USING brin (created_at) WITH (pages_per_range = 16);
