//! Finds the route of a method and a path, without an allocation in the common case.
//!
//! The templates are compiled to a tree of segments at start. Literals win over variables; a variable takes one
//! segment that is not empty, percent-decoded after it was cut out, so `%2F` is part of a value. A colon in the last
//! segment starts a verb if the route knows that verb, and else belongs to the value: `/v1/users/a:b`.

mod template;

use std::borrow::Cow;

use http::{HeaderValue, Method};
use kit_core::Error;
use smallvec::SmallVec;

use crate::percent::decode;
pub use template::RouteError;
use template::{Segment, Template};

/// Deeper paths are not looked at.
const MAX_SEGMENTS: usize = 32;

/// A route as it was added.
#[derive(Debug, Clone)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The template as written.
    pub template: String,
    /// The field paths its variables fill, in order.
    pub fields: Vec<String>,
}

/// What the variables of a route took, in their order.
#[derive(Debug, Clone, Default)]
pub struct Captures<'p>(SmallVec<[&'p str; 4]>);

impl<'p> Captures<'p> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value at an index, percent-decoded; empty past the last.
    ///
    /// # Errors
    /// When an escape is broken or it is not UTF-8.
    pub fn value(&self, index: usize) -> Result<Cow<'p, str>, Error> {
        decode(self.0.get(index).copied().unwrap_or_default())
    }
}

/// What a path leads to.
#[derive(Debug)]
pub enum Lookup<'r, 'p> {
    /// A route.
    Found {
        /// Its index, in the order of adding.
        route: usize,
        /// What its variables took.
        captures: Captures<'p>,
        /// What `Allow` says of the path.
        allow: &'r HeaderValue,
    },
    /// 405 (or the answer to OPTIONS): the path exists for other methods.
    OtherMethods {
        /// What `Allow` says of the path.
        allow: &'r HeaderValue,
    },
    /// 404.
    NotFound,
}

/// The routes of a service, compiled. Literals win over variables, a verb over a value with a colon in it.
#[derive(Debug)]
pub struct Router {
    routes: Vec<Route>,
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Sorted by text.
    literals: Vec<(Box<str>, usize)>,
    variable: Option<usize>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug)]
struct Endpoint {
    verb: Box<str>,
    methods: Vec<(Method, usize)>,
    allow: HeaderValue,
}

/// Collects routes.
#[derive(Debug)]
pub struct RouterBuilder {
    routes: Vec<Route>,
    nodes: Vec<Node>,
}

impl Default for RouterBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl RouterBuilder {
    /// No route.
    pub fn new() -> Self {
        Self { routes: Vec::new(), nodes: vec![Node::default()] }
    }

    /// Adds a route and returns its index. GET answers HEAD as well.
    ///
    /// # Errors
    /// When the template is malformed or the route exists.
    pub fn add(&mut self, method: Method, template: &str) -> Result<usize, RouteError> {
        let parsed = Template::parse(template)?;
        let mut node = 0;
        let mut fields = Vec::new();
        for segment in parsed.segments {
            node = match segment {
                Segment::Literal(text) => self.literal(node, &text),
                Segment::Variable(field) => {
                    fields.push(field);
                    self.variable(node)
                }
            };
        }
        let route = self.routes.len();
        self.end(node, &parsed.verb, &method, route).map_err(|existing| {
            let existing = &self.routes[existing].template;
            RouteError::new(template, format!("{method} leads to `{existing}` already"))
        })?;
        self.routes.push(Route { method, template: template.to_owned(), fields });
        Ok(route)
    }

    /// Compiles what was added.
    pub fn build(self) -> Router {
        Router { routes: self.routes, nodes: self.nodes }
    }

    fn new_node(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    fn literal(&mut self, node: usize, text: &str) -> usize {
        match self.nodes[node].literals.binary_search_by(|(known, _)| known.as_ref().cmp(text)) {
            Ok(at) => self.nodes[node].literals[at].1,
            Err(at) => {
                let child = self.new_node();
                self.nodes[node].literals.insert(at, (text.into(), child));
                child
            }
        }
    }

    fn variable(&mut self, node: usize) -> usize {
        if let Some(child) = self.nodes[node].variable {
            return child;
        }
        let child = self.new_node();
        self.nodes[node].variable = Some(child);
        child
    }

    /// Puts a route at a node, or returns the one that is there.
    fn end(&mut self, node: usize, verb: &str, method: &Method, route: usize) -> Result<(), usize> {
        let endpoints = &mut self.nodes[node].endpoints;
        let at = match endpoints.iter().position(|endpoint| *endpoint.verb == *verb) {
            Some(at) => at,
            None => {
                let allow = HeaderValue::from_static("");
                endpoints.push(Endpoint { verb: verb.into(), methods: Vec::new(), allow });
                endpoints.len() - 1
            }
        };
        let endpoint = &mut endpoints[at];
        if let Some((_, existing)) = endpoint.methods.iter().find(|(known, _)| known == method) {
            return Err(*existing);
        }
        endpoint.methods.push((method.clone(), route));
        endpoint.allow = allow(&endpoint.methods);
        Ok(())
    }
}

fn allow(methods: &[(Method, usize)]) -> HeaderValue {
    let mut names: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.sort_unstable();
    names.dedup();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}

impl Router {
    /// The routes in the order of adding.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Finds the route of a raw path.
    pub fn find<'p>(&self, method: &Method, path: &'p str) -> Lookup<'_, 'p> {
        let Some(rest) = path.strip_prefix('/') else { return Lookup::NotFound };
        let segments: SmallVec<[&str; 8]> =
            if rest.is_empty() { SmallVec::new() } else { rest.split('/').take(MAX_SEGMENTS + 1).collect() };
        if segments.len() > MAX_SEGMENTS {
            return Lookup::NotFound;
        }
        let mut captures = Captures::default();
        match self.walk(0, &segments, &mut captures) {
            None => Lookup::NotFound,
            Some(endpoint) => endpoint.choose(method, captures),
        }
    }

    /// The endpoint the segments lead to from a node; literals are tried first.
    fn walk<'p>(&self, node: usize, segments: &[&'p str], captures: &mut Captures<'p>) -> Option<&Endpoint> {
        let node = &self.nodes[node];
        let Some((segment, rest)) = segments.split_first() else { return node.endpoint("") };
        if rest.is_empty()
            && let Some((value, verb)) = segment.rsplit_once(':')
            && let Some(endpoint) = self.step(node, value, captures, |child, _| self.nodes[child].endpoint(verb))
        {
            return Some(endpoint);
        }
        self.step(node, segment, captures, |child, captures| self.walk(child, rest, captures))
    }

    /// Takes one segment, by literal or else by variable, and goes on.
    fn step<'r, 'p>(
        &'r self,
        node: &Node,
        segment: &'p str,
        captures: &mut Captures<'p>,
        mut go_on: impl FnMut(usize, &mut Captures<'p>) -> Option<&'r Endpoint>,
    ) -> Option<&'r Endpoint> {
        if let Some(found) = node.literal(segment).and_then(|child| go_on(child, captures)) {
            return Some(found);
        }
        let child = node.variable.filter(|_| !segment.is_empty())?;
        captures.0.push(segment);
        let found = go_on(child, captures);
        if found.is_none() {
            captures.0.pop();
        }
        found
    }
}

impl Node {
    fn literal(&self, segment: &str) -> Option<usize> {
        let find = |text: &str| {
            let at = self.literals.binary_search_by(|(known, _)| known.as_ref().cmp(text)).ok()?;
            Some(self.literals[at].1)
        };
        if segment.contains('%') { find(&decode(segment).ok()?) } else { find(segment) }
    }

    fn endpoint(&self, verb: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| *endpoint.verb == *verb)
    }
}

impl Endpoint {
    fn choose<'p>(&self, method: &Method, captures: Captures<'p>) -> Lookup<'_, 'p> {
        let wanted = if *method == Method::HEAD { &Method::GET } else { method };
        let allow = &self.allow;
        match self.methods.iter().find(|(known, _)| known == wanted) {
            Some((_, route)) => Lookup::Found { route: *route, captures, allow },
            None => Lookup::OtherMethods { allow },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: [(&str, &str); 11] = [
        ("GET", "/v1/users/{id}"),
        ("PATCH", "/v1/users/{user.id}"),
        ("GET", "/v1/users"),
        ("POST", "/v1/users"),
        ("GET", "/v1/users:batchGet"),
        ("POST", "/v1/users/{id}:undelete"),
        ("GET", "/v1/orderLines/{order_id}/{line}"),
        ("POST", "/v1:commit"),
        ("GET", "/v1/users/me"),
        ("GET", "/v1/users/me/inbox"),
        ("GET", "/v1/users/{id}/orders"),
    ];

    fn router() -> Router {
        let mut builder = RouterBuilder::new();
        for (method, template) in ROUTES {
            builder.add(method.parse().unwrap(), template).unwrap();
        }
        builder.build()
    }

    /// The template found and its captures, or the answer without one.
    fn found(method: Method, path: &str) -> String {
        let router = router();
        match router.find(&method, path) {
            Lookup::Found { route, captures, .. } => {
                let values = (0..captures.len()).map(|index| captures.value(index).unwrap().into_owned());
                format!("{} {:?}", router.routes()[route].template, values.collect::<Vec<_>>())
            }
            Lookup::OtherMethods { allow } => format!("405 {}", allow.to_str().unwrap()),
            Lookup::NotFound => "404".to_owned(),
        }
    }

    #[test]
    fn paths_lead_to_their_routes() {
        for (path, wanted) in [
            ("/v1/users/42", "/v1/users/{id} [\"42\"]"),
            ("/v1/users", "/v1/users []"),
            ("/v1/users:batchGet", "/v1/users:batchGet []"),
            ("/v1/orderLines/7/1", "/v1/orderLines/{order_id}/{line} [\"7\", \"1\"]"),
            ("/v1/users/me", "/v1/users/me []"),
            ("/v1/users/me/orders", "/v1/users/{id}/orders [\"me\"]"),
            ("/v1/users/a%2Fb", "/v1/users/{id} [\"a/b\"]"),
            ("/v1/users/%2e%2e", "/v1/users/{id} [\"..\"]"),
            ("/v1/users/a:b", "/v1/users/{id} [\"a:b\"]"),
            ("/v1/us%65rs/1", "/v1/users/{id} [\"1\"]"),
        ] {
            assert_eq!(found(Method::GET, path), wanted, "{path}");
        }
        assert_eq!(found(Method::POST, "/v1/users/a:b:undelete"), "/v1/users/{id}:undelete [\"a:b\"]");
        assert_eq!(found(Method::POST, "/v1:commit"), "/v1:commit []");
        assert_eq!(found(Method::HEAD, "/v1/users/42"), "/v1/users/{id} [\"42\"]");
    }

    #[test]
    fn what_no_template_covers_is_not_found() {
        for path in
            ["/", "", "v1/users", "/v1", "/v1/users/", "/v1//users", "/v1/users/1/", "/v2/users", "//v1/users", "*"]
        {
            assert_eq!(found(Method::GET, path), "404", "{path}");
        }
        assert_eq!(found(Method::GET, &"/x".repeat(10_000)), "404");
    }

    #[test]
    fn a_path_for_other_methods_says_which() {
        assert_eq!(found(Method::DELETE, "/v1/users/42"), "405 GET, HEAD, OPTIONS, PATCH");
        assert_eq!(found(Method::OPTIONS, "/v1/users"), "405 GET, HEAD, OPTIONS, POST");
        assert_eq!(found(Method::GET, "/v1/users/42:undelete"), "405 OPTIONS, POST");
    }

    #[test]
    fn a_route_that_exists_is_refused_and_both_are_named() {
        let mut builder = RouterBuilder::new();
        builder.add(Method::GET, "/v1/users/{id}").unwrap();
        let error = builder.add(Method::GET, "/v1/users/{name}").unwrap_err().to_string();
        assert!(error.contains("{id}") && error.contains("{name}"), "{error}");
        assert!(builder.add(Method::PUT, "/v1/users/{name}").is_ok());
    }

    #[test]
    fn a_value_that_cannot_be_decoded_is_an_error_of_its_own() {
        let router = router();
        let Lookup::Found { captures, .. } = router.find(&Method::GET, "/v1/users/%ff") else { panic!("not found") };
        assert_eq!(captures.value(0).unwrap_err().reason(), "BAD_URL");
    }
}
