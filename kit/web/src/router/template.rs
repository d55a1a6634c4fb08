//! Templates of `google.api.http`: `/v1/users/{id}`, `/v1/users/{user.id}:undelete`, `/v1/users:batchGet`.

/// Why a template or a set of them cannot be routed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("path template `{template}`: {problem}")]
pub struct RouteError {
    /// The template as written.
    pub template: String,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl RouteError {
    pub(super) fn new(template: &str, problem: impl Into<String>) -> Self {
        Self { template: template.to_owned(), problem: problem.into() }
    }
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    /// The path of the field that takes the segment: `id`, `user.id`.
    Variable(String),
}

/// A template taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) segments: Vec<Segment>,
    /// What stands after the colon of the last segment; empty without one.
    pub(super) verb: String,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, RouteError> {
        let rest = text.strip_prefix('/').ok_or_else(|| RouteError::new(text, "it must start with `/`"))?;
        let (path, verb) = split_verb(rest);
        if verb.is_some_and(|verb| verb.is_empty() || verb.contains(['/', '{', '}', '%'])) {
            return Err(RouteError::new(text, "a verb is a word after the colon of the last segment"));
        }
        let segments = if path.is_empty() {
            Vec::new()
        } else {
            path.split('/').map(|segment| parse_segment(text, segment)).collect::<Result<_, _>>()?
        };
        Ok(Self { segments, verb: verb.unwrap_or_default().to_owned() })
    }
}

/// Splits at the last colon that stands outside braces.
fn split_verb(path: &str) -> (&str, Option<&str>) {
    match path.rfind(':') {
        Some(colon) if !path[colon..].contains('}') => (&path[..colon], Some(&path[colon + 1..])),
        _ => (path, None),
    }
}

fn parse_segment(template: &str, segment: &str) -> Result<Segment, RouteError> {
    if segment.is_empty() {
        return Err(RouteError::new(template, "a segment is empty"));
    }
    if let Some(inner) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return parse_variable(template, inner);
    }
    if segment.contains(['{', '}', '*', '%', ':', '?', '#']) {
        return Err(RouteError::new(template, format!("`{segment}` is neither a word nor one `{{field}}`")));
    }
    Ok(Segment::Literal(segment.to_owned()))
}

fn parse_variable(template: &str, inner: &str) -> Result<Segment, RouteError> {
    let (field, pattern) = inner.split_once('=').unwrap_or((inner, "*"));
    if pattern != "*" {
        let problem = format!("`{{{inner}}}` takes several segments; only `{{field}}` and `{{field=*}}` are supported");
        return Err(RouteError::new(template, problem));
    }
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !field.split('.').all(is_name) {
        return Err(RouteError::new(template, format!("`{field}` is not the path of a field")));
    }
    Ok(Segment::Variable(field.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(text: &str) -> Segment {
        Segment::Literal(text.into())
    }

    #[test]
    fn segments_fields_and_verbs_are_told_apart() {
        let template = Template::parse("/v1/users/{user.id}:undelete").unwrap();
        assert_eq!(template.segments, [literal("v1"), literal("users"), Segment::Variable("user.id".into())]);
        assert_eq!(template.verb, "undelete");
        assert_eq!(Template::parse("/v1:commit").unwrap().verb, "commit");
        assert_eq!(Template::parse("/v1/{id=*}").unwrap().segments[1], Segment::Variable("id".into()));
        assert_eq!(Template::parse("/").unwrap().segments, []);
    }

    #[test]
    fn mistakes_name_the_template_and_the_problem() {
        for text in
            ["v1", "/v1//x", "/v1/", "/v1/{}", "/v1/{a b}", "/v1/{n=a/*}", "/v1/{n=**}", "/v1/x{id}", "/v1:", "/a%20b"]
        {
            let error = Template::parse(text).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
