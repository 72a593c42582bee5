//! Names that are spelled nearly alike: what somebody may have meant.

/// The name that is spelled most like another: letter case apart, two letters are added, lost, changed or swapped at most,
/// and half of them at most.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_ascii_lowercase();
    let near = known.map(|other| (distance(&name, &other.to_ascii_lowercase()), other));
    near.filter(|(far, _)| *far <= 2 && far * 2 <= name.len()).min().map(|(_, other)| other)
}

/// How many letters have to be put in, left out, changed or swapped to make one word of another.
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut fewest = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                fewest = fewest.min(before_last[j - 1] + 1);
            }
            row.push(fewest);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_told_and_a_far_one_is_not() {
        let known = ["TEST", "HEART", "HEART_2", "B"];
        let nearest = |name| nearest(name, known.into_iter());
        for (name, near) in
            [("test", "TEST"), ("TSET", "TEST"), ("HART", "HEART"), ("heart22", "HEART_2"), ("TESTS", "TEST")]
        {
            assert_eq!(nearest(name), Some(near), "{name}");
        }
        for name in ["C", "LUNG", "X", "TE", "HEARTBEAT"] {
            assert_eq!(nearest(name), None, "{name}");
        }
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("abc", "abc")), (3, 3, 0));
        assert_eq!((distance("abc", "acb"), distance("\u{e4}b", "ab")), (1, 1));
    }
}
