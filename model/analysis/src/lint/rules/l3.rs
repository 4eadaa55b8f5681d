//! Rules about addresses and routes.
pub(crate) mod address_not_usable;
pub(crate) mod duplicate_ip;
pub(crate) mod gateway_unreachable;
pub(crate) mod ip_on_enslaved_port;
