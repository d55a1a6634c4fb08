//! Names with `*` and `?`.

/// Whether one of the patterns fits; none at all fit every name.
pub(super) fn any(patterns: &[String], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    patterns.is_empty() || patterns.iter().any(|pattern| fits(&pattern.chars().collect::<Vec<_>>(), &name))
}

fn fits(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|at| fits(rest, &name[at..])),
        ['?', rest @ ..] => !name.is_empty() && fits(rest, &name[1..]),
        [first, rest @ ..] => name.first() == Some(first) && fits(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything_and_question_marks_for_one() {
        let one = |pattern: &str, name: &str| any(&[pattern.to_owned()], name);
        assert!(one("user*", "users") && one("*s", "users") && one("u?ers", "users") && one("users", "users"));
        assert!(!one("user", "users") && !one("u?s", "users"));
        assert!(any(&[], "users"));
    }
}
