-- Who had an address from when until when: the events that begin and end that, by address and by MAC. They
-- are few beside all events; renewals are not among them. In parts, as the index of subjects is.

CREATE INDEX event_lease_address ON event (seq >> 9, data ->> '$.address')
    WHERE kind IN ('dhcp.leased', 'dhcp.released', 'dhcp.expired', 'dhcp.declined', 'lease.imported', 'lease.deleted');
CREATE INDEX event_lease_mac ON event (seq >> 9, data ->> '$.mac')
    WHERE kind IN ('dhcp.leased', 'dhcp.released', 'dhcp.expired', 'dhcp.declined', 'lease.imported', 'lease.deleted');
