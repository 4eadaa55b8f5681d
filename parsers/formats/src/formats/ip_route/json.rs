//! `ip -j route`.
use std::net::IpAddr;

use tapline_core::records::route::{Family, Gateway, Nexthop, Route};
use tapline_core::span::{At, Span};

use super::{network, of, other};
use crate::json_object::{Object, elements};

/// One element of the array.
pub(super) fn route(text: &str, raw: &str) -> Result<Option<Route>, String> {
    let mut object = Object::parse(text, raw)?;
    if object.is_empty() {
        return Ok(None);
    }
    let mut route = Route::new(Span::of(text, raw));
    if let Some(kind) = object.name("type") {
        route.kind = kind.value;
    }
    let Some(dst) = object.text("dst") else { return Err("a route without `dst`".to_owned()) };
    if dst.value != "default" {
        let net = network(&dst.value).ok_or_else(|| {
            format!("`dst` is no prefix: {}", dst.value.chars().take(60).collect::<String>())
        })?;
        route.destination = Some(At::new(net, dst.span));
    }
    let (via, shown) = gateway(&mut object)?;
    route.via = via;
    route.family = shown.map(other);
    route.dev = object.name("dev");
    route.src = object.value("prefsrc")?.map(|value| value.value);
    route.metric = object.value("metric")?.map(|value| value.value);
    route.proto = object.name("protocol").map(|name| name.value);
    route.scope = object.name("scope").map(|name| name.value);
    route.table = object.name("table");
    route.flags = object.names("flags");
    if let Some(hops) = object.take("nexthops") {
        for hop in elements(hops) {
            route.nexthops.push(nexthop(text, hop)?);
        }
    }
    if let Some(metrics) = object.take("metrics") {
        for each in elements(metrics) {
            route.other.extend(Object::parse(text, each)?.rest());
        }
    }
    route.other.extend(object.rest());
    Ok(Some(route))
}

fn nexthop(text: &str, raw: &str) -> Result<Nexthop, String> {
    let mut object = Object::parse(text, raw)?;
    Ok(Nexthop {
        at: Span::of(text, raw),
        via: gateway(&mut object)?.0,
        dev: object.name("dev"),
        weight: object.value("weight")?.map(|value| value.value),
        flags: object.names("flags"),
        other: object.rest(),
    })
}

/// `"gateway": ADDRESS`, or `"via": {"family": …, "host": ADDRESS}` where the gateway is of another
/// family than the route.
fn gateway(object: &mut Object<'_>) -> Result<(Option<At<Gateway>>, Option<Family>), String> {
    if let Some(ip) = object.value::<IpAddr>("gateway")? {
        return Ok((Some(ip.map(Gateway::Ip)), None));
    }
    let Some(mut via) = object.object("via")? else { return Ok((None, None)) };
    let host = via.value::<IpAddr>("host")?;
    Ok((host.map(|host| host.map(Gateway::Ip)), host.map(|host| of(host.value))))
}
