-- Kinds of DHCP clients.

CREATE TABLE client_class (
    key TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '[]'
) STRICT;
