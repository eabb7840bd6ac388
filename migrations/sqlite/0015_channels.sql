-- Channels say which version of each pack machines get. The server makes the channel `prod` when it starts.
CREATE TABLE channel (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]',
    commit_number INTEGER NOT NULL DEFAULT 1
) STRICT;
