-- By which processes are found by what they are. No index has a column that every boundary writes: the state is written
-- where it changes.

-- Both are written once, at the end. What is damaged is left as it is.
ALTER TABLE process ADD COLUMN exit_code INTEGER;
ALTER TABLE process ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
UPDATE process SET exit_code = CASE
        WHEN json_type(ended, '$.exit.number') = 'integer' THEN ended ->> '$.exit.number'
        WHEN json_type(ended, '$.exit') IS NULL THEN 0 END
    WHERE ended IS NOT NULL AND json_valid(ended)
    AND (SELECT state FROM checkpoint WHERE checkpoint.id = process.id) = 'finished';
UPDATE process SET failed = 1
    WHERE exit_code <> 0 OR (SELECT state FROM checkpoint WHERE checkpoint.id = process.id) = 'excepted';

CREATE INDEX process_failed ON process (id) WHERE failed <> 0;
CREATE INDEX process_parked ON process (id) WHERE parked IS NOT NULL;
CREATE INDEX process_name ON process (process);
CREATE INDEX process_created ON process (created_at);
CREATE INDEX checkpoint_state ON checkpoint (state);
CREATE INDEX checkpoint_paused ON checkpoint (id) WHERE paused <> 0;
