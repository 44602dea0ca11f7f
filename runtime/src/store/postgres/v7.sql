-- Whether a worker was asked to drain.
ALTER TABLE worker ADD COLUMN drains boolean NOT NULL DEFAULT false;
