-- Packs are objects: several versions of each, with their files in `content`.
CREATE TABLE pack (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]',
    commit_number INTEGER NOT NULL DEFAULT 1
) STRICT;
