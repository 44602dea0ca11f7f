-- How far the steps say they are that run: hints of their workers, a few rows each, and no part of any boundary.
CREATE TABLE hint (
    epoch INTEGER NOT NULL,
    pid TEXT NOT NULL,
    steps INTEGER NOT NULL,
    progress TEXT NOT NULL,
    PRIMARY KEY (epoch, pid)
) STRICT, WITHOUT ROWID;
