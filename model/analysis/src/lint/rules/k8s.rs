//! Rules of the family k8s.
pub(crate) mod calico_route_missing;
pub(crate) mod cni_subnet_mismatch;
pub(crate) mod pod_block_on_two_nodes;
