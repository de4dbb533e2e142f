//! The lines in which two texts differ, without the ones that hold a secret.

use std::collections::BTreeSet;

/// A line that only one of the texts has.
fn mark(sign: char, line: &str, hidden: bool) -> String {
    if hidden { format!("{sign} (a line with a secret)") } else { format!("{sign} {line}") }
}

/// The differences, `-` before what goes and `+` before what comes. The numbers are those of lines that must not be
/// shown, from 1.
pub(super) fn changes(
    old: &str,
    new: &str,
    old_hidden: &BTreeSet<usize>,
    new_hidden: &BTreeSet<usize>,
) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let ahead = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let behind = old[ahead..].iter().rev().zip(new[ahead..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[ahead..old.len() - behind], &new[ahead..new.len() - behind]);
    // The longest common subsequence of what is left, by the lengths of those of every two rests.
    let mut lengths = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i][j] = if a[i] == b[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || lengths[i + 1][j] >= lengths[i][j + 1]) {
            found.push(mark('-', a[i], old_hidden.contains(&(ahead + i + 1))));
            i += 1;
        } else {
            found.push(mark('+', b[j], new_hidden.contains(&(ahead + j + 1))));
            j += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_and_never_a_secret() {
        for (old, new, expected) in [
            ("a\nb\nc\n", "a\nx\nc\nd\n", &["- b", "+ x", "+ d"][..]),
            ("a\n", "a\n", &[]),
            ("", "a\n", &["+ a"]),
            ("k\nPASSWORD=x\n", "k\n", &["- (a line with a secret)"]),
            ("a\nb\nc\nd\n", "b\nd\ne\n", &["- a", "- c", "+ e"]),
        ] {
            let secret = if old.contains("PASSWORD") { BTreeSet::from([2]) } else { BTreeSet::new() };
            assert_eq!(changes(old, new, &secret, &BTreeSet::new()), expected, "{old} {new}");
        }
    }
}
