//! Rules about addresses and routes.
pub(crate) mod duplicate_ip;
pub(crate) mod gateway_unreachable;
