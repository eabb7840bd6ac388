-- Sessions of browsers. The value of a session's cookie is not stored, only its digest.
CREATE TABLE session (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]',
    commit_number INTEGER NOT NULL DEFAULT 1
) STRICT;
