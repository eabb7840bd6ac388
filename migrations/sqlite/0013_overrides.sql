-- What sites change of the objects of packs.
CREATE TABLE override (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]',
    commit_number INTEGER NOT NULL DEFAULT 1
) STRICT;
