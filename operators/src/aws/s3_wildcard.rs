//! Unix file name patterns on whole keys, as Python's `fnmatch.fnmatchcase`: `*` also matches `/`.

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// `*`
    Any,
    /// `?`
    One,
    Literal(char),
    /// `[…]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wildcard(Vec<Part>);

/// What every key that matches begins with: the pattern up to the first magic character.
#[must_use]
pub fn literal_prefix(pattern: &str) -> &str {
    pattern.split(['*', '?', '[']).next().unwrap_or_default()
}

impl Wildcard {
    /// Compiles a pattern. Every text is one: an unclosed `[` stands for itself.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let chars: Vec<char> = pattern.chars().collect();
        let mut parts = Vec::new();
        let mut i = 0;
        while let Some(&c) = chars.get(i) {
            i += 1;
            match c {
                '*' if parts.last() == Some(&Part::Any) => {}
                '*' => parts.push(Part::Any),
                '?' => parts.push(Part::One),
                '[' => match class_end(&chars, i) {
                    Some(end) => {
                        parts.push(class(&chars[i..end]));
                        i = end + 1;
                    }
                    None => parts.push(Part::Literal('[')),
                },
                c => parts.push(Part::Literal(c)),
            }
        }
        Self(parts)
    }

    /// Whether the whole key matches. Linear in the key for each `*`, whatever the pattern.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let text: Vec<char> = key.chars().collect();
        let (mut part, mut at) = (0, 0);
        // Where to go on if the rest does not fit: after the last star, with one more character in it.
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(part) {
                Some(Part::Any) => {
                    star = Some((part + 1, at));
                    part += 1;
                }
                Some(one) if fits(one, text[at]) => {
                    part += 1;
                    at += 1;
                }
                _ => {
                    let Some((after, from)) = star else { return false };
                    star = Some((after, from + 1));
                    (part, at) = (after, from + 1);
                }
            }
        }
        self.0[part..].iter().all(|rest| *rest == Part::Any)
    }
}

fn fits(part: &Part, c: char) -> bool {
    match part {
        Part::Any => false,
        Part::One => true,
        Part::Literal(literal) => *literal == c,
        Part::Class { negated, ranges } => ranges.iter().any(|&(low, high)| low <= c && c <= high) != *negated,
    }
}

/// The index of the `]` that closes the class whose inside begins at `start`.
fn class_end(chars: &[char], start: usize) -> Option<usize> {
    let mut i = start;
    if chars.get(i) == Some(&'!') {
        i += 1;
    }
    if chars.get(i) == Some(&']') {
        i += 1;
    }
    (i..chars.len()).find(|&i| chars[i] == ']')
}

/// The inside of `[…]`, by the steps of `fnmatch.translate`: which hyphens make a range depends on them.
fn class(inside: &[char]) -> Part {
    let mut chunks = chunks(inside);
    for k in (1..chunks.len()).rev() {
        // An empty range (`z-a`) vanishes with both its ends.
        if let (Some(&low), Some(&high)) = (chunks[k - 1].last(), chunks[k].first())
            && low > high
        {
            let rest = chunks.remove(k);
            chunks[k - 1].pop();
            chunks[k - 1].extend_from_slice(&rest[1..]);
        }
    }
    let negated = chunks.first().and_then(|chunk| chunk.first()) == Some(&'!');
    let mut ranges = Vec::new();
    let last = chunks.len().saturating_sub(1);
    for (k, chunk) in chunks.iter().enumerate() {
        for (i, &c) in chunk.iter().enumerate() {
            let is_mark = negated && k == 0 && i == 0;
            let ends_range = k > 0 && i == 0;
            if is_mark || ends_range {
                continue;
            }
            let range_end = if k < last && i + 1 == chunk.len() { chunks[k + 1].first() } else { None };
            ranges.push((c, range_end.copied().unwrap_or(c)));
        }
    }
    Part::Class { negated, ranges }
}

/// The inside, cut at the hyphens that stand between two ends of a range.
fn chunks(inside: &[char]) -> Vec<Vec<char>> {
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let mut start = 0;
    let mut search = if inside.first() == Some(&'!') { 2 } else { 1 };
    while let Some(hyphen) = (search..inside.len()).find(|&i| inside[i] == '-') {
        chunks.push(inside[start..hyphen].to_vec());
        start = hyphen + 1;
        search = hyphen + 3;
    }
    match (inside.get(start..).filter(|rest| !rest.is_empty()), chunks.last_mut()) {
        (Some(rest), _) => chunks.push(rest.to_vec()),
        (None, Some(last)) => last.push('-'),
        (None, None) => {}
    }
    chunks
}
