//! "Did you mean": the known word nearest to an unknown one.

/// The candidate with the smallest edit distance to `word`, if it is near enough to be a slip.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::levenshtein(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance * 3 <= word.len().max(candidate.len()) + 2)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let keys = ["call.timeout", "call.retries", "iam.username"];
        assert_eq!(nearest("call.timout", keys), Some("call.timeout"));
        assert_eq!(nearest("iam.user_name", keys), Some("iam.username"));
        assert_eq!(nearest("colour", keys), None);
    }
}
