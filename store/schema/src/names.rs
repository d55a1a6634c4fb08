//! Case, plural and spelling: how one message name becomes a table, a field, a method and a path.

/// Words of an identifier: `OrderLine`, `order_line` and `orderLine` are `order`, `line`; `HTTPServer` is `http`, `server`.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| chars.get(i));
        let after = chars.get(i + 1);
        let starts = c.is_uppercase()
            && before.is_some_and(|b| {
                b.is_lowercase() || b.is_ascii_digit() || (b.is_uppercase() && after.is_some_and(|a| a.is_lowercase()))
            });
        if c == '_' || starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c != '_') {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `OrderLine` to `order_line`.
pub fn snake(name: &str) -> String {
    words(name).join("_")
}

/// `order_line` to `OrderLine`.
pub fn upper_camel(name: &str) -> String {
    words(name).iter().map(|word| capital(word)).collect()
}

/// `order_line` to `orderLine`.
pub(crate) fn lower_camel(name: &str) -> String {
    let words = words(name);
    let mut camel = words.first().cloned().unwrap_or_default();
    camel.extend(words.iter().skip(1).map(|word| capital(word)));
    camel
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Plural of an UpperCamelCase name: `OrderLine` to `OrderLines`, `Category` to `Categories`.
pub fn plural_camel(name: &str) -> String {
    let snake = snake(name);
    let last = snake.rsplit('_').next().unwrap_or_default();
    // The words before the last keep their letters: `APIKey` becomes `APIKeys`.
    let head = name.get(..name.len() - last.len().min(name.len())).unwrap_or_default();
    let tail = name.get(head.len()..).unwrap_or_default();
    let plural = plural_word(last);
    match plural.strip_prefix(last) {
        Some(suffix) => format!("{head}{tail}{suffix}"),
        None => format!("{head}{}", capital(&plural)),
    }
}

/// Plural of a snake_case name: `order_line` to `order_lines`.
pub fn plural_snake(name: &str) -> String {
    match name.rsplit_once('_') {
        Some((head, last)) => format!("{head}_{}", plural_word(last)),
        None => plural_word(name),
    }
}

/// Words with a plural of their own.
const IRREGULAR: &[(&str, &str)] = &[
    ("person", "people"),
    ("child", "children"),
    ("man", "men"),
    ("woman", "women"),
    ("foot", "feet"),
    ("tooth", "teeth"),
    ("goose", "geese"),
    ("mouse", "mice"),
    ("ox", "oxen"),
    ("datum", "data"),
    ("medium", "media"),
    ("criterion", "criteria"),
    ("phenomenon", "phenomena"),
    ("matrix", "matrices"),
    ("vertex", "vertices"),
    ("quiz", "quizzes"),
    ("leaf", "leaves"),
    ("knife", "knives"),
    ("life", "lives"),
    ("wife", "wives"),
    ("half", "halves"),
    ("shelf", "shelves"),
    ("wolf", "wolves"),
    ("thief", "thieves"),
    ("loaf", "loaves"),
    ("hero", "heroes"),
    ("potato", "potatoes"),
    ("tomato", "tomatoes"),
    ("echo", "echoes"),
    ("veto", "vetoes"),
    ("cargo", "cargoes"),
];

/// Words that are their own plural.
const UNCOUNTABLE: &[&str] = &[
    "aircraft",
    "children",
    "data",
    "deer",
    "equipment",
    "feedback",
    "fish",
    "furniture",
    "hardware",
    "information",
    "media",
    "metadata",
    "money",
    "news",
    "people",
    "series",
    "sheep",
    "software",
    "species",
    "staff",
    "traffic",
    "weather",
];

fn plural_word(word: &str) -> String {
    if UNCOUNTABLE.contains(&word) || word.ends_with("ings") {
        return word.to_owned();
    }
    if let Some((_, plural)) = IRREGULAR.iter().find(|(singular, _)| *singular == word) {
        return (*plural).to_owned();
    }
    let before_y = word.strip_suffix('y').filter(|stem| stem.ends_with(|c: char| !"aeiou".contains(c)));
    if let Some(stem) = before_y {
        return format!("{stem}ies");
    }
    if let Some(stem) = word.strip_suffix("is") {
        return format!("{stem}es");
    }
    let hisses = ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end));
    format!("{word}{}", if hisses { "es" } else { "s" })
}

/// Version segment of a package: `v1` of `shop.v1`; `v1` if it has none.
pub(crate) fn version_segment(package: &str) -> &str {
    package.rsplit('.').find(|segment| is_version(segment)).unwrap_or("v1")
}

fn is_version(segment: &str) -> bool {
    let Some(rest) = segment.strip_prefix('v') else { return false };
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < rest.len() && (digits.is_empty() || digits.starts_with("alpha") || digits.starts_with("beta"))
}

/// Whether every database takes the name between quotes. Tables that are adopted have names that nobody would choose.
pub(crate) fn is_storable(name: &str) -> bool {
    let takes = |c: char| !c.is_control() && c <= '\u{ffff}';
    !name.is_empty() && !name.ends_with(' ') && name.chars().all(takes)
}

/// The candidate that was most likely meant.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let limit = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= limit || (wanted.len() > 2 && candidate.contains(&wanted)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words, a swap of neighbours counted as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// ``did you mean `x`?``, or nothing.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map(|near| format!("did you mean `{near}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_case_by_words() {
        assert_eq!(snake("OrderLine"), "order_line");
        assert_eq!(snake("HTTPServer"), "http_server");
        assert_eq!(snake("APIKey"), "api_key");
        assert_eq!(lower_camel("api_keys"), "apiKeys");
        assert_eq!(upper_camel("created_at"), "CreatedAt");
    }

    #[test]
    fn plurals_follow_english() {
        let pairs = [
            ("User", "Users"),
            ("Category", "Categories"),
            ("Address", "Addresses"),
            ("Day", "Days"),
            ("Data", "Data"),
            ("UserSettings", "UserSettings"),
            ("SalesPerson", "SalesPeople"),
            ("Analysis", "Analyses"),
            ("Status", "Statuses"),
            ("Box", "Boxes"),
            ("Branch", "Branches"),
            ("APIKey", "APIKeys"),
            ("URL", "URLs"),
            ("Photo", "Photos"),
            ("Quiz", "Quizzes"),
            ("Weather", "Weather"),
        ];
        for (singular, plural) in pairs {
            assert_eq!(plural_camel(singular), plural);
        }
        assert_eq!(plural_snake("order_line"), "order_lines");
    }

    #[test]
    fn the_version_is_a_segment_of_the_package() {
        assert_eq!(version_segment("shop.v2"), "v2");
        assert_eq!(version_segment("shop.v1beta1.inner"), "v1beta1");
        assert_eq!(version_segment("shop.vat"), "v1");
        assert_eq!(version_segment(""), "v1");
    }

    #[test]
    fn the_nearest_name_is_suggested_only_if_it_is_near() {
        assert_eq!(nearest("emial", ["id", "email", "name"]), Some("email"));
        assert_eq!(nearest("mail", ["id", "email", "name"]), Some("email"));
        assert_eq!(nearest("zzz", ["id", "email", "name"]), None);
    }
}
