//! What names suggest: prefixes of neutron, nova, libvirt and OVS.
//!
//! A name may suggest a role or break a tie; it never proves an edge.
