//! Conditions and templates: CEL, compiled when the file is read, bounded in size and depth.
use std::collections::BTreeSet;
use std::fmt;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, ExecutionError, Program, Value};
use serde::{Deserialize, Deserializer};

use super::fields::COMMON;
use super::schema::{unknown, word};

/// Bytes of an expression.
const LONGEST: usize = 1000;
/// Brackets in brackets.
const DEEPEST: usize = 24;
/// Loops (`all`, `exists`, `map`, `filter`) in loops: what bounds the time.
const LOOPS: usize = 2;

/// A compiled expression.
pub(super) struct Expression {
    source: String,
    program: Program,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl Expression {
    fn new(source: &str) -> Result<Self, String> {
        let source = source.trim();
        if source.len() > LONGEST {
            return Err(format!("condition: longer than {LONGEST} bytes"));
        }
        let mut depth = 0_usize;
        for byte in source.bytes() {
            match byte {
                // Signs are nested as brackets are.
                b'(' | b'[' | b'{' | b'?' | b'!' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > DEEPEST {
                return Err(format!("condition: nested deeper than {DEEPEST}"));
            }
        }
        let program = Program::compile(source).map_err(|errors| match errors.errors.first() {
            Some(it) => format!("condition: {} (character {} of it)", it.msg, it.pos.1),
            None => "condition: cannot be read".to_owned(),
        })?;
        Ok(Self { source: source.to_owned(), program })
    }

    /// As it stands in the file.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Evaluates it.
    pub(super) fn value(&self, context: &Context<'_, '_>) -> Result<Value, ExecutionError> {
        self.program.execute(context)
    }

    /// Looks up variables, and the fields of `node`.
    pub(super) fn check(&self, variables: &[&str], own: &[&str]) -> Result<(), String> {
        let mut bound = BTreeSet::new();
        walk(self.program.expression(), &mut bound, 0, (variables, own))
    }
}

/// Looks up the names in an expression, and counts its loops.
fn walk<'e>(
    it: &'e IdedExpr,
    bound: &mut BTreeSet<&'e str>,
    loops: usize,
    known: (&[&str], &[&str]),
) -> Result<(), String> {
    match &it.expr {
        Expr::Ident(name)
            if !name.starts_with('@')
                && !bound.contains(name.as_str())
                && !known.0.contains(&name.as_str()) =>
        {
            return Err(unknown("variable", name, known.0));
        }
        Expr::Select(select) => {
            if matches!(&select.operand.expr, Expr::Ident(name) if name == "node" && !bound.contains("node"))
            {
                let fields = [COMMON, known.1].concat();
                if !fields.contains(&select.field.as_str()) {
                    return Err(unknown("field", &select.field, &fields));
                }
            }
            walk(&select.operand, bound, loops, known)?;
        }
        Expr::Call(call) => {
            // A pattern is compiled each time.
            if call.func_name == "matches" && loops >= LOOPS {
                return Err(format!("condition: `matches` inside of {LOOPS} loops"));
            }
            for part in call.target.as_deref().into_iter().chain(&call.args) {
                walk(part, bound, loops, known)?;
            }
        }
        Expr::List(list) => {
            for part in &list.elements {
                walk(part, bound, loops, known)?;
            }
        }
        Expr::Map(map) => {
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    walk(&entry.key, bound, loops, known)?;
                    walk(&entry.value, bound, loops, known)?;
                }
            }
        }
        Expr::Comprehension(all) => {
            if loops >= LOOPS {
                return Err(format!("condition: more than {LOOPS} loops in one another"));
            }
            walk(&all.iter_range, bound, loops + 1, known)?;
            let mut inner = bound.clone();
            inner.insert(&all.iter_var);
            inner.insert(&all.accu_var);
            inner.extend(all.iter_var2.as_deref());
            for part in [&all.accu_init, &all.loop_cond, &all.loop_step, &all.result] {
                walk(part, &mut inner, loops + 1, known)?;
            }
        }
        _ => {}
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Expression {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        word(from, Self::new)
    }
}

/// Text with `{{ expressions }}`.
#[derive(Debug)]
pub(super) struct Template {
    /// As it stands in the file.
    pub(super) source: String,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Value(Expression),
}

impl Template {
    /// Its expressions.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(piece) => Some(piece),
            Piece::Text(_) => None,
        })
    }

    /// The text; a field that is not there is `?`.
    pub(super) fn filled(&self, context: &Context<'_, '_>) -> Result<String, ExecutionError> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(it) => text.push_str(it),
                Piece::Value(it) => match it.value(context) {
                    Ok(value) => text.push_str(&shown(&value)),
                    Err(ExecutionError::NoSuchKey(_)) => text.push('?'),
                    Err(other) => return Err(other),
                },
            }
        }
        Ok(text)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        word(from, |source| {
            let mut pieces = Vec::new();
            let mut rest = source.trim();
            while let Some((before, after)) = rest.split_once("{{") {
                let Some((inside, after)) = after.split_once("}}") else {
                    return Err("`{{` without `}}`".to_owned());
                };
                pieces.push(Piece::Text(before.to_owned()));
                pieces.push(Piece::Value(Expression::new(inside)?));
                rest = after;
            }
            pieces.push(Piece::Text(rest.to_owned()));
            Ok(Self { source: source.trim().to_owned(), pieces })
        })
    }
}

/// A value in a sentence.
fn shown(value: &Value) -> String {
    match value {
        Value::String(it) => it.to_string(),
        Value::Int(it) => it.to_string(),
        Value::UInt(it) => it.to_string(),
        Value::Float(it) => it.to_string(),
        Value::Bool(it) => it.to_string(),
        Value::List(all) => all.iter().take(8).map(shown).collect::<Vec<_>>().join(", "),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cel::objects::Key;
    use proptest::prelude::*;

    use super::*;

    /// Pieces of expressions, sound and not.
    const PIECES: &[&str] = &[
        "node",
        ".mtu",
        ".name",
        ".tag",
        ".flags",
        "near",
        "x",
        " == ",
        " < ",
        " + ",
        " - ",
        " * ",
        " / ",
        " % ",
        " && ",
        " || ",
        "!",
        "-",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ", ",
        ": ",
        " ? ",
        "1",
        "0",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615u",
        "1.5",
        "1e999",
        "'a'",
        "\"b\"",
        "'\\u12'",
        "b'x'",
        "r'\\'",
        "null",
        "true",
        "false",
        " in ",
        "size(",
        "has(",
        "string(",
        "int(",
        "uint(",
        "double(",
        "bytes(",
        "type(",
        "max(",
        "min(",
        ".exists(x, ",
        ".all(x, ",
        ".map(x, ",
        ".filter(x, ",
        ".exists_one(x, ",
        ".matches('(a+)+$')",
        ".matches('[')",
        ".startsWith('q')",
        ".contains(",
        ".endsWith(",
        ".size()",
        "[0]",
        "[-1]",
        "[99999999999]",
        "é",
        "\u{0}",
        "\n",
        "//",
        "@",
        "`",
        "$",
        ";",
    ];

    fn expression() -> impl Strategy<Value = String> {
        let pieces = prop::collection::vec(prop::sample::select(PIECES), 1..24);
        prop_oneof![
            4 => pieces.prop_map(|piece| piece.concat()),
            2 => (sound(), sound()).prop_map(|(a, b)| format!("({a}) == ({b})")),
            2 => sound(),
            1 => any::<String>(),
        ]
    }

    /// Expressions of the grammar.
    fn sound() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "node.mtu",
            "node.name",
            "node.flags",
            "node.tag",
            "near",
            "1",
            "-1",
            "0",
            "'q'",
            "9223372036854775807",
            "2.5",
            "[1, 'a', null]",
            "{'a': 1}",
            "true",
            "null",
            "7u",
        ]);
        leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
            let signs = vec!["+", "-", "*", "/", "%", "==", "<", ">=", "&&", "||", "in", "!="];
            let two = (inner.clone(), prop::sample::select(signs), inner.clone());
            let calls = vec!["size", "string", "int", "uint", "double", "bytes", "-", "!"];
            let one = (prop::sample::select(calls), inner.clone());
            let loops = vec!["exists", "all", "map", "filter", "exists_one"];
            let each = (inner.clone(), prop::sample::select(loops), inner.clone());
            prop_oneof![
                two.prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
                one.prop_map(|(call, it)| format!("{call}({it})")),
                each.prop_map(|(all, call, it)| format!("({all}).{call}(x, {it})")),
                (inner.clone(), inner).prop_map(|(a, b)| format!("({a})[{b}]")),
            ]
        })
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Float),
            any::<bool>().prop_map(Value::Bool),
            any::<String>().prop_map(|any| Value::String(Arc::new(any))),
            Just(Value::Null),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop::collection::vec(inner, 0..4).prop_map(|vec| Value::List(Arc::new(vec)))
        })
    }

    fn node(values: &[Value]) -> Value {
        let names = ["mtu", "name", "flags", "tag"];
        let all = names.iter().zip(values);
        let map = all.map(|(key, it)| (Key::String(Arc::new((*key).to_owned())), it.clone()));
        Value::Map(cel::objects::Map { map: Arc::new(map.collect()) })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn no_expression_and_no_value_brings_us_down(
            source in expression(),
            values in prop::collection::vec(value(), 0..4),
        ) {
            let Ok(it) = Expression::new(&source) else { return Ok(()) };
            let _ = it.check(&["node", "near"], &["mtu", "flags", "tag"]);
            let node = node(&values);
            let mut context = Context::default();
            context.add_variable_from_value("near", Value::List(Arc::new(vec![node.clone()])));
            context.add_variable_from_value("node", node);
            if let Ok(value) = it.value(&context) {
                let _ = shown(&value);
            }
        }

        #[test]
        fn no_template_brings_us_down(source in "(\\{\\{|\\}\\}|[a-z.' +]|\\PC){0,40}") {
            let _: Result<Template, _> = serde_yaml::from_value(source.into());
        }
    }

    #[test]
    fn size_depth_and_loops_are_bounded() {
        let refused = |source: &str| {
            let it = Expression::new(source).map_err(|_| ());
            it.and_then(|it| it.check(&["node", "near"], &[]).map_err(|_| ())).is_err()
        };
        assert!(refused(&"1 + ".repeat(400)));
        assert!(refused(&format!("{}1{}", "(".repeat(30), ")".repeat(30))));
        assert!(refused(&format!("{}true", "!".repeat(30))));
        assert!(refused("near.all(a, near.all(b, near.all(c, true)))"));
        assert!(refused("near.all(a, near.all(b, b.name.matches('x')))"));
        assert!(!refused("near.all(a, near.all(b, a.name == b.name))"));
        assert!(!refused("near.all(a, a.name.matches('^q'))"));
    }
}
