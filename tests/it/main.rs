mod dhcp_vectors;
