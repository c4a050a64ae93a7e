//! The nearest known word to one that is not known.

/// Comparing is quadratic in the length and linear in the candidates; hostile files get no suggestion instead of a wait.
const MAX_LENGTH: usize = 100;
const MAX_CANDIDATES: usize = 1_000;

/// The candidate with the fewest edits, if they are few for a word of that length.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if word.is_empty() || word.len() > MAX_LENGTH {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed)
        .take(MAX_CANDIDATES)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_letter_too_few_or_swapped_is_near() {
        assert_eq!(nearest("retires", ["pool", "retries"]), Some("retries"));
        assert_eq!(nearest("upstrem", ["upstream", "retries"]), Some("upstream"));
    }

    #[test]
    fn case_does_not_keep_words_apart() {
        assert_eq!(nearest("europe/berlin", ["Europe/Berlin"]), Some("Europe/Berlin"));
    }

    #[test]
    fn another_word_is_not_near() {
        assert_eq!(nearest("colour", ["pool", "retries"]), None);
        assert_eq!(nearest("", ["a"]), None);
    }
}
