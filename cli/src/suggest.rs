//! Did you mean …?

/// The candidate that is most like `word`, if one is like it at all.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    several(word, candidates, 1).into_iter().next()
}

/// Up to `most` candidates that are like `word`, the most alike first.
pub(crate) fn several<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let part = word.len() >= 3 && (other.contains(&word) || word.contains(&other));
            let far = distance(&word, &other, allowed);
            match far {
                Some(far) => Some((far, candidate)),
                None if part && !other.is_empty() => Some((allowed + 1, candidate)),
                None => None,
            }
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(most).map(|(_, it)| it).collect()
}

/// Edits (insert, delete, replace, swap of neighbours) from `a` to `b`, if there are at most `most`.
/// Long words are not compared.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    const LONGEST: usize = 64;
    let (from, to) = (a.chars().count(), b.chars().count());
    if from.abs_diff(to) > most || from.max(to) > LONGEST {
        return None;
    }
    Some(strsim::osa_distance(a, b)).filter(|&far| far <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting", 9), Some(3));
        assert_eq!(distance("same", "same", 0), Some(0));
        assert_eq!(distance("lnik", "link", 1), Some(1));
        assert_eq!(distance("a", "abcdef", 2), None);
    }

    #[test]
    fn near_words_come_first() {
        let known = ["OVS-001", "OVS-002", "VM-001"];
        assert_eq!(nearest("ovs-01", known), Some("OVS-001"));
        assert_eq!(nearest("nothing-like-it", known), None);
        assert_eq!(several("tap85", ["tap85bcbfb0-bc", "eth0"], 3), ["tap85bcbfb0-bc"]);
    }
}
