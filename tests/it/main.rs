
mod dhcp_vectors;
