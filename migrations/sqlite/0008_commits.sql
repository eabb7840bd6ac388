-- Each commit has a number, and each row the number of the commit that wrote it last (docs/adr/0023). Rows from
-- before there were numbers have the first.
ALTER TABLE machine ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE bootenv ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE template ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE param ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE profile ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE stage ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE task ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE workflow ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE job ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE subnet ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE reservation ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE lease ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE artifact ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE setting ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE token ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;
ALTER TABLE client_class ADD COLUMN commit_number INTEGER NOT NULL DEFAULT 1;

-- Deleted objects, in the order of commits. The oldest rows are pruned.
CREATE TABLE tombstone (
    commit_number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    revision INTEGER NOT NULL, -- the last one
    time INTEGER NOT NULL, -- microseconds since 1970
    PRIMARY KEY (commit_number, kind, key)
) STRICT, WITHOUT ROWID;

-- One row: tombstones up to this commit are gone. What was deleted before there were tombstones is not known.
CREATE TABLE tombstones_pruned (
    upto INTEGER NOT NULL
) STRICT;
INSERT INTO tombstones_pruned VALUES (1);

-- A server process begins an epoch with its first commit. Two databases that were copied from one have different
-- epochs from their next commits on, so that a position in one is not taken for a position in the other.
CREATE TABLE epoch (
    first_commit INTEGER PRIMARY KEY,
    id TEXT NOT NULL
) STRICT;
INSERT INTO epoch VALUES (1, lower(hex(randomblob(16))));
