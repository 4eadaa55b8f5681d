//! Substitutes of ids in hexadecimal digits: UUIDs, ids of containers, the parts of them in names.
//!
//! A digit becomes another one that depends on the digits before it. So two ids have the same beginning
//! where their substitutes do, and the eleven characters of a port's id in `tap85bcbfb0-bc` are those
//! with which the substitute of the id begins, whether all of it was captured or not. Hyphens do not
//! count: an id without them is the same id.
use crate::secret::Secret;

/// Digits of a UUID that say which sort it is: the version, and the variant.
const VERSION: usize = 12;
const VARIANT: usize = 16;

/// The id with other digits.
pub(crate) fn substitute(secret: &Secret, id: &str) -> String {
    let is_nothing = |digit: char| matches!(digit, '0' | '-');
    if id.chars().all(is_nothing) {
        return id.to_owned();
    }
    let mut before = String::new();
    let mut out = String::with_capacity(id.len());
    for character in id.chars() {
        let Some(digit) = character.to_digit(16) else {
            out.push(character);
            continue;
        };
        let at = before.len();
        let drawn = secret.number("id", before.as_bytes());
        let drawn = u32::try_from(drawn & 0xf).unwrap_or_default();
        let other = match at {
            VERSION => digit,
            VARIANT if (8..12).contains(&digit) => 8 | (digit ^ drawn) & 3,
            VARIANT => digit,
            _ => digit ^ drawn,
        };
        let other = char::from_digit(other, 16).unwrap_or(character);
        let is_capital = character.is_ascii_uppercase();
        out.push(if is_capital { other.to_ascii_uppercase() } else { other });
        before.push(character.to_ascii_lowercase());
    }
    out
}
