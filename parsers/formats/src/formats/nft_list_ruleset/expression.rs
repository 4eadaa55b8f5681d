//! Statements and expressions of `nft -j` as `nft` prints them without `-j`.
//!
//! Source: libnftables-json(5). What has no words here is written as `json KEY`, which the reader
//! of rules takes for a condition that may be met or not.
use serde_json::{Map, Value};

/// Expressions deeper than this are not looked into.
const DEEPEST: u32 = 16;

/// One statement of a rule.
pub(super) fn statement(value: &Value) -> String {
    let Some((key, body)) = only(value) else { return unknown("statement") };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    match key {
        "match" => comparison(body),
        "vmap" => match (body.get("key"), body.get("data")) {
            (Some(key), Some(data)) => format!("{} vmap {}", shown(key), shown(data)),
            _ => unknown(key),
        },
        "counter" => match (body.get("packets"), body.get("bytes")) {
            (Some(packets), Some(bytes)) => format!("counter packets {packets} bytes {bytes}"),
            _ => key.to_owned(),
        },
        "accept" | "drop" | "continue" | "return" | "notrack" | "queue" | "tproxy" | "dup"
        | "fwd" | "synproxy" | "quota" | "last" => key.to_owned(),
        "jump" | "goto" => format!("{key} {}", text("target").unwrap_or_default()),
        "reject" => match (text("type"), body.get("expr")) {
            (Some(kind), Some(code)) => format!("reject with {kind} type {}", shown(code)),
            (Some(kind), None) => format!("reject with {kind}"),
            _ => key.to_owned(),
        },
        "log" => match text("prefix") {
            Some(prefix) => format!("log prefix {}", quoted(prefix)),
            None => key.to_owned(),
        },
        "limit" => {
            let rate = body.get("rate").and_then(Value::as_u64).unwrap_or_default();
            let over = if body.get("inv") == Some(&Value::Bool(true)) { "over " } else { "" };
            format!("limit rate {over}{rate}/{}", text("per").unwrap_or("second"))
        }
        "snat" | "dnat" => translation(key, body),
        "masquerade" | "redirect" => {
            let port = body.get("port").map(|port| format!(" to :{}", shown(port)));
            format!("{key}{}{}", port.unwrap_or_default(), flags(body))
        }
        "mangle" => match (body.get("key"), body.get("value")) {
            (Some(key), Some(value)) => format!("{} set {}", shown(key), shown(value)),
            _ => unknown(key),
        },
        "flow" => "flow add @json".to_owned(),
        "xt" => {
            let kind = text("type").unwrap_or("match");
            format!("xt {kind} {}", quoted(text("name").unwrap_or("json")))
        }
        "comment" => String::new(),
        _ => unknown(key),
    }
}

/// A value, or an element of a set.
pub(super) fn shown(value: &Value) -> String {
    expression(value, false, 0)
}

/// The only key of an object.
fn only(value: &Value) -> Option<(&str, &Value)> {
    match value {
        Value::Object(map) if map.len() == 1 => {
            map.iter().next().map(|(key, it)| (key.as_str(), it))
        }
        _ => None,
    }
}

fn unknown(key: &str) -> String {
    format!("json {}", plain(key))
}

/// `ip saddr 10.0.0.0/8`, `meta mark & 255 == 1`.
fn comparison(body: &Value) -> String {
    let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
        return unknown("match");
    };
    let left = shown(left);
    // A device may have the name of a verb.
    let device = left.starts_with("meta iif") || left.starts_with("meta oif");
    let right = expression(right, device, 0);
    match body.get("op").and_then(Value::as_str) {
        Some("in") | None => format!("{left} {right}"),
        Some("==") if left.contains(" & ") => format!("{left} == {right}"),
        Some("==") => format!("{left} {right}"),
        Some(operator) => format!("{left} {} {right}", plain(operator)),
    }
}

/// `dnat ip to 10.0.0.5:8080 random`.
fn translation(verb: &str, body: &Value) -> String {
    let port = body.get("port").map(|port| format!(":{}", shown(port))).unwrap_or_default();
    let address = match body.get("addr") {
        None => String::new(),
        Some(Value::String(six)) if six.contains(':') && !port.is_empty() => format!("[{six}]"),
        Some(address) => shown(address),
    };
    let family = match body.get("family").and_then(Value::as_str) {
        Some("ip6") => " ip6",
        Some("ip") => " ip",
        _ => "",
    };
    format!("{verb}{family} to {address}{port}{}", flags(body))
}

/// ` random,persistent`
fn flags(body: &Value) -> String {
    body.get("flags").map(|flags| format!(" {}", shown(flags))).unwrap_or_default()
}

fn expression(value: &Value, quote: bool, depth: u32) -> String {
    if depth > DEEPEST {
        return unknown("nested");
    }
    let deeper = |value: &Value| expression(value, quote, depth + 1);
    match value {
        Value::String(text) if quote && !text.starts_with('@') => quoted(text),
        Value::String(text) => plain(text),
        Value::Array(all) => all.iter().map(deeper).collect::<Vec<_>>().join(","),
        Value::Object(map) => object(map, quote, depth),
        Value::Bool(there) => if *there { "exists" } else { "missing" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Null => unknown("null"),
    }
}

fn object(map: &Map<String, Value>, quote: bool, depth: u32) -> String {
    let Some((key, body)) = map.iter().next().filter(|_| map.len() == 1) else {
        return unknown("expression");
    };
    let deeper = |value: &Value| expression(value, quote, depth + 1);
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let list = |between: &str| {
        let all = body.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().map(deeper).collect::<Vec<_>>().join(between)
    };
    match key.as_str() {
        "set" => match body {
            Value::Array(all) => {
                let all: Vec<_> = all.iter().map(|it| element(it, quote, depth + 1)).collect();
                format!("{{ {} }}", all.join(", "))
            }
            one => deeper(one),
        },
        "elem" => body.get("val").map_or_else(|| unknown(key), deeper),
        "prefix" => match (body.get("addr"), body.get("len")) {
            (Some(address), Some(length)) => format!("{}/{length}", deeper(address)),
            _ => unknown(key),
        },
        "range" => list("-"),
        "concat" => list(" . "),
        "&" | "|" | "^" | "<<" | ">>" => list(&format!(" {key} ")),
        "payload" => match (text("protocol"), text("field")) {
            (Some(protocol), Some(field)) => format!("{} {}", plain(protocol), plain(field)),
            _ => unknown(key),
        },
        "meta" => format!("meta {}", plain(text("key").unwrap_or("json"))),
        "ct" => {
            let way = text("dir").map(|way| format!("{} ", plain(way))).unwrap_or_default();
            format!("ct {way}{}", plain(text("key").unwrap_or("json")))
        }
        "fib" => {
            let flags = match body.get("flags") {
                Some(Value::Array(all)) => all.iter().map(deeper).collect::<Vec<_>>().join(" . "),
                Some(one) => deeper(one),
                None => String::new(),
            };
            format!("fib {flags} {}", plain(text("result").unwrap_or("json")))
        }
        "map" => match body.get("key") {
            Some(key) => format!("{} map json", deeper(key)),
            None => unknown(key),
        },
        "accept" | "drop" | "continue" | "return" => key.clone(),
        "jump" | "goto" => format!("{key} {}", plain(text("target").unwrap_or("json"))),
        _ => unknown(key),
    }
}

/// An element of a set, or a pair of a map.
fn element(value: &Value, quote: bool, depth: u32) -> String {
    match value {
        Value::Array(pair) if pair.len() == 2 => {
            let pair: Vec<_> = pair.iter().map(|pair| expression(pair, quote, depth + 1)).collect();
            pair.join(" : ")
        }
        one => expression(one, quote, depth),
    }
}

/// A word that stays one word: quoted where it has letters that mean something in a rule.
fn plain(text: &str) -> String {
    let odd = |c: char| c.is_whitespace() || "{};,\"#\\".contains(c);
    if text.is_empty() || text.contains(odd) { quoted(text) } else { text.to_owned() }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace(['"', '\n'], "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_read_as_nft_prints_them() {
        for (json, text) in [
            (
                r#"{"match":{"op":"==","left":{"meta":{"key":"iifname"}},"right":"drop"}}"#,
                "meta iifname \"drop\"",
            ),
            (
                r#"{"match":{"op":"!=","left":{"payload":{"protocol":"ip","field":"saddr"}},
                "right":{"prefix":{"addr":"10.0.0.0","len":8}}}}"#,
                "ip saddr != 10.0.0.0/8",
            ),
            (
                r#"{"match":{"op":"in","left":{"ct":{"key":"state"}},
                "right":["established","related"]}}"#,
                "ct state established,related",
            ),
            (
                r#"{"match":{"op":"==","left":{"payload":{"protocol":"tcp","field":"dport"}},
                "right":{"set":[22,{"range":[80,90]}]}}}"#,
                "tcp dport { 22, 80-90 }",
            ),
            (
                r#"{"match":{"op":"==","left":{"&":[{"meta":{"key":"mark"}},255]},"right":1}}"#,
                "meta mark & 255 == 1",
            ),
            (
                r#"{"match":{"op":"==","left":{"fib":{"result":"type","flags":["daddr"]}},
                "right":"local"}}"#,
                "fib daddr type local",
            ),
            (r#"{"counter":{"packets":3,"bytes":180}}"#, "counter packets 3 bytes 180"),
            (r#"{"jump":{"target":"mine"}}"#, "jump mine"),
            (r#"{"reject":{"type":"tcp reset"}}"#, "reject with tcp reset"),
            (r#"{"dnat":{"addr":"10.0.0.5","port":80}}"#, "dnat to 10.0.0.5:80"),
            (r#"{"dnat":{"family":"ip6","addr":"fd00::5","port":80}}"#, "dnat ip6 to [fd00::5]:80"),
            (r#"{"redirect":{"port":9697}}"#, "redirect to :9697"),
            (r#"{"masquerade":null}"#, "masquerade"),
            (
                r#"{"mangle":{"key":{"meta":{"key":"mark"}},
                "value":{"|":[{"meta":{"key":"mark"}},4]}}}"#,
                "meta mark set meta mark | 4",
            ),
            (
                r#"{"vmap":{"key":{"ct":{"key":"state"}},
                "data":{"set":[["established",{"accept":null}],["new",{"jump":{"target":"x"}}]]}}}"#,
                "ct state vmap { established : accept, new : jump x }",
            ),
            (r#"{"log":{"prefix":"a \"b\" drop"}}"#, "log prefix \"a 'b' drop\""),
            (r#"{"xt":{"type":"match","name":"addrtype"}}"#, "xt match \"addrtype\""),
            (r#"{"new thing":{"a":1}}"#, "json \"new thing\""),
            (
                r#"{"match":{"left":{"payload":{"base":"ll","offset":1,"len":2}},"right":1}}"#,
                "json payload 1",
            ),
        ] {
            assert_eq!(statement(&serde_json::from_str(json).unwrap()), text);
        }
    }
}
