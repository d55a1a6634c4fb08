//! Requests drawn at random.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rowkeep_engine::conformance::Answer;
use serde_json::{Map, Value as Json, json};

/// What the requests of one run are about: few entities, so that their rows meet.
const GROUPS: [&[&str]; 6] = [
    &["Member", "Counter", "Guarded", "Session"],
    &["Team", "Player", "Fan", "Badge", "Locker", "Report"],
    &["Node", "Left", "Right", "Alias"],
    &["Document", "Draft", "Comment", "Session"],
    &["Session", "Session", "Visit", "Basket", "Item", "Trail", "Push"],
    &["Lease", "Code"],
];

/// What requests are about.
pub(crate) const ENTITIES: [&str; 24] = [
    "Member", "Document", "Draft", "Session", "Team", "Player", "Fan", "Badge", "Locker", "Report", "Node", "Counter",
    "Guarded", "Alias", "Comment", "Left", "Right", "Visit", "Basket", "Item", "Trail", "Push", "Lease", "Code",
];

/// A call.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) body: Json,
}

/// The source of requests, and what it has learnt from their answers.
pub(crate) struct Dice {
    random: StdRng,
    entities: &'static [&'static str],
    etags: Vec<String>,
    /// Lists that have a next page.
    pages: Vec<Request>,
    /// Requests with an id, to be repeated.
    repeatable: Vec<Request>,
    next_id: u32,
    gives_ids: bool,
}

/// A write, before it is put into a request.
struct Write {
    entity: &'static str,
    operation: &'static str,
    row: Json,
    mask: Option<String>,
    allow_missing: bool,
    transforms: Vec<Json>,
    precondition: Json,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let entities = GROUPS[random.random_range(0..GROUPS.len())];
        let (etags, pages, repeatable) = (Vec::new(), Vec::new(), Vec::new());
        Self { random, entities, etags, pages, repeatable, next_id: 0, gives_ids: false }
    }

    /// Leaves no id to the database.
    pub(crate) fn give_ids(&mut self) {
        self.gives_ids = true;
    }

    pub(crate) fn one_in(&mut self, chances: u32) -> bool {
        self.random.random_ratio(1, chances)
    }

    pub(crate) fn up_to(&mut self, most: i64) -> i64 {
        self.random.random_range(0..=most)
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items.choose(&mut self.random).expect("there is something to pick").clone()
    }

    /// Takes in what an answer is good for.
    pub(crate) fn learn(&mut self, request: &Request, answer: &Answer) {
        self.etags.extend(answer.etag.clone());
        if let Some(token) = answer.body["nextPageToken"].as_str() {
            let mut next = request.clone();
            next.body["pageToken"] = json!(token);
            self.pages.push(next);
        }
    }

    pub(crate) fn request(&mut self) -> Request {
        match self.random.random_range(0..100) {
            0..12 => self.read(),
            12..27 => self.list(),
            27..33 if !self.repeatable.is_empty() => {
                let known = self.repeatable.clone();
                self.pick(&known)
            }
            33..55 => self.commit(),
            55..63 => self.batch(),
            _ => self.single(),
        }
    }

    fn read(&mut self) -> Request {
        let entity = self.pick(self.entities);
        if entity == "Member" && self.one_in(2) {
            let email = self.pick(&["a@x", "b@x", "c@x", ""]);
            return Request { method: "GetMemberByEmail".to_owned(), body: json!({ "email": email }) };
        }
        let row = self.row(entity);
        Request { method: format!("Get{entity}"), body: key_of(entity, &row) }
    }

    fn list(&mut self) -> Request {
        if self.one_in(3) && !self.pages.is_empty() {
            let pages = self.pages.clone();
            let mut page = self.pick(&pages);
            page.body["pageSize"] = json!(self.up_to(4));
            return page;
        }
        let entity = self.pick(self.entities);
        let (filters, orders): (&[&str], &[&str]) = match entity {
            "Member" => (
                &["team = \"red\"", "handle:*", "email > \"a\"", "NOT seat = 1"],
                &["team, seat desc", "handle", "code desc"],
            ),
            "Document" => (&["text = \"x\"", "sku != \"a\"", "deleted_at:*"], &["sku desc", "deleted_at, id desc"]),
            "Session" => (&["device = \"a\"", "expires_at:*"], &["expires_at", "device desc"]),
            "Node" => (&["parent_id = 1", "NOT twin_id:*", "id > 2"], &["parent_id", "twin_id desc, id desc"]),
            "Counter" => (&["stock >= 2", "tags:\"a\"", "points:*", "real < 0"], &["stock desc", "real, price"]),
            "Lease" => (&["parent = \"a\"", "NOT twin:*"], &["expires_at", "slot desc"]),
            "Code" => (&["expires_at:*"], &["expires_at desc"]),
            "Player" => (&["team_id = 1", "name != \"a\""], &["team_id, name desc"]),
            "Draft" | "Guarded" => (&["name > \"a\""], &["name desc"]),
            _ => (&["id = 1 OR id = 3", "id >= 2"], &["id desc"]),
        };
        let mut body = json!({ "pageSize": self.up_to(3) });
        if self.one_in(2) {
            body["filter"] = json!(self.pick(filters));
        }
        if self.one_in(2) {
            body["orderBy"] = json!(self.pick(orders));
        }
        if self.one_in(3) {
            body["includeTotalSize"] = json!(true);
        }
        if matches!(entity, "Document" | "Draft" | "Report" | "Trail") && self.one_in(2) {
            body["showDeleted"] = json!(true);
        }
        Request { method: format!("List{}", plural(entity)), body }
    }

    fn single(&mut self) -> Request {
        let write = self.write();
        let (method, mut body) = write.into_request();
        self.options(&mut body);
        self.keep(Request { method, body })
    }

    fn batch(&mut self) -> Request {
        let entity = self.pick(self.entities);
        let operation = self.pick(&["create", "update", "delete"]);
        let count = 1 + self.up_to(2);
        let writes: Vec<Json> = (0..count).map(|_| self.write_of(entity, operation).into_request().1).collect();
        let plural = plural(entity);
        let verb = operation[..1].to_uppercase() + &operation[1..];
        let mut body = json!({ "requests": writes });
        self.options(&mut body);
        self.keep(Request { method: format!("Batch{verb}{plural}"), body })
    }

    fn commit(&mut self) -> Request {
        let count = 1 + self.up_to(3);
        let writes: Vec<Json> = (0..count).map(|_| self.write().into_commit()).collect();
        let mut body = json!({ "writes": writes });
        self.options(&mut body);
        self.keep(Request { method: "Commit".to_owned(), body })
    }

    fn options(&mut self, body: &mut Json) {
        if self.one_in(5) {
            // Sometimes one that was used before.
            self.next_id += u32::from(!self.one_in(4));
            body["requestId"] = json!(format!("r{}", self.next_id));
        }
        if self.one_in(12) {
            body["validateOnly"] = json!(true);
        }
    }

    fn keep(&mut self, request: Request) -> Request {
        if request.body.get("requestId").is_some() {
            self.repeatable.push(request.clone());
        }
        request
    }

    fn write(&mut self) -> Write {
        let entity = self.pick(self.entities);
        let operation = self.pick(&[
            "create", "create", "create", "create", "update", "update", "update", "delete", "undelete", "check",
        ]);
        let operation = match operation {
            "undelete" if !matches!(entity, "Document" | "Draft" | "Report" | "Trail") => "create",
            other => other,
        };
        self.write_of(entity, operation)
    }

    fn write_of(&mut self, entity: &'static str, operation: &'static str) -> Write {
        let row = self.row(entity);
        let mask = if self.one_in(3) { None } else { Some(self.mask(&row)) };
        let transforms = if entity == "Counter" && self.one_in(2) { vec![self.transform()] } else { Vec::new() };
        let precondition = self.precondition(entity, operation);
        Write { entity, operation, row, mask, allow_missing: self.one_in(3), transforms, precondition }
    }

    fn mask(&mut self, row: &Json) -> String {
        if self.one_in(6) {
            return "*".to_owned();
        }
        let fields: Vec<String> = row.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        let kept: Vec<String> = fields.into_iter().filter(|_| !self.one_in(3)).collect();
        kept.join(",")
    }

    fn precondition(&mut self, entity: &str, operation: &str) -> Json {
        if operation != "check" && !self.one_in(3) && entity != "Guarded" {
            return json!({});
        }
        match self.up_to(5) {
            0 => json!({ "exists": true }),
            1 => json!({ "exists": false }),
            2 if entity == "Counter" => {
                json!({ "condition": self.pick(&["stock >= 2", "tags:\"a\"", "NOT points:*"]) })
            }
            3 => json!({ "etag": "*" }),
            _ if self.etags.is_empty() => json!({ "etag": "\"AAAAAAAAAAA\"" }),
            _ => {
                let recent = self.etags.len().saturating_sub(6);
                let etags = self.etags[recent..].to_vec();
                json!({ "etag": self.pick(&etags) })
            }
        }
    }

    fn transform(&mut self) -> Json {
        match self.up_to(7) {
            0 => json!({ "field": "stock", "increment": self.pick(&["1", "-1", "-3"]) }),
            1 => json!({ "field": "small", "increment": self.pick(&["1", "2147483647"]) }),
            2 => json!({ "field": "real", "minimum": self.pick(&["-0.5", "2"]) }),
            3 => json!({ "field": "price", "increment": self.pick(&["0.01", "9999"]) }),
            4 => json!({ "field": "tags", "appendMissing": self.pick(&["[\"a\"]", "[\"b\",\"c\"]"]) }),
            5 => json!({ "field": "tags", "removeAll": "[\"a\"]" }),
            6 => json!({ "field": "points", "increment": "1" }),
            _ => json!({ "field": "seen_at", "setToCommitTime": true }),
        }
    }

    fn id(&mut self) -> Json {
        json!(self.pick(&["1", "2", "3"]))
    }

    fn name(&mut self) -> Json {
        json!(self.pick(&["a", "b", "c"]))
    }

    /// An id, or nothing where the database may count.
    fn counted_id(&mut self) -> Json {
        if self.gives_ids { self.id() } else { self.maybe_id() }
    }

    /// An id, or nothing.
    fn maybe_id(&mut self) -> Json {
        if self.one_in(2) { Json::Null } else { self.id() }
    }

    fn maybe_name(&mut self) -> Json {
        if self.one_in(3) { Json::Null } else { self.name() }
    }

    fn moment(&mut self) -> Json {
        if self.one_in(3) {
            return Json::Null;
        }
        let (minute, second) = (self.random.random_range(3..8), self.random.random_range(0..60));
        json!(format!("2026-01-02T03:{minute:02}:{second:02}Z"))
    }

    /// A row with a key, and most of its fields.
    fn row(&mut self, entity: &str) -> Json {
        let row = match entity {
            "Member" => json!({
                "code": self.name(), "email": self.pick(&["a@x", "b@x", "c@x"]), "handle": self.maybe_name(),
                "team": self.pick(&["red", "blue"]), "seat": self.pick(&[json!(0), json!(1), Json::Null]),
            }),
            "Document" => json!({ "id": self.counted_id(), "sku": self.name(), "text": self.pick(&["x", "y"]) }),
            "Draft" => json!({ "name": self.name(), "text": self.pick(&["x", "y"]) }),
            "Session" => json!({ "token": self.name(), "device": self.maybe_name(), "expiresAt": self.moment() }),
            "Visit" | "Basket" | "Trail" => json!({ "id": self.id(), "session": self.name() }),
            "Item" => json!({ "id": self.id(), "basketId": self.id() }),
            "Push" => json!({ "id": self.id(), "device": self.maybe_name() }),
            "Lease" => json!({
                "name": self.name(), "slot": self.maybe_name(), "expiresAt": self.moment(), "parent": self.maybe_name(),
                "twin": self.maybe_name(),
            }),
            "Code" => json!({ "text": self.name(), "expiresAt": self.moment() }),
            "Team" => json!({ "id": self.id(), "name": self.name() }),
            "Player" => json!({ "id": self.id(), "teamId": self.id(), "name": self.name() }),
            "Fan" => json!({ "id": self.id(), "teamName": self.maybe_name() }),
            "Badge" | "Report" => json!({ "id": self.id(), "playerId": self.id() }),
            "Locker" => json!({ "id": self.id(), "playerId": self.maybe_id() }),
            "Node" => {
                json!({ "id": self.id(), "parentId": self.maybe_id(), "twinId": self.maybe_id(), "anchorId": self.maybe_id() })
            }
            "Counter" => json!({
                "id": self.id(), "stock": self.pick(&["0", "2", "5"]), "small": self.pick(&[0, 1, i32::MAX]),
                "real": self.pick(&[0.0, -0.5, 1e300]), "price": self.pick(&["0", "1.25", "9999.99"]),
                "tags": self.pick(&[json!([]), json!(["a"]), json!(["a", "b", "c"])]), "maybe": self.maybe_id(),
                "remark": self.maybe_name(),
            }),
            "Guarded" => json!({ "name": self.name(), "value": self.id() }),
            "Alias" => json!({ "id": self.id(), "name": self.name(), "sameAs": self.maybe_name() }),
            "Comment" => json!({ "id": self.id(), "draft": self.name() }),
            "Left" => json!({ "id": self.id(), "rightId": self.maybe_id() }),
            _ => json!({ "id": self.id(), "leftId": self.maybe_id() }),
        };
        let key = key_fields(entity);
        let fields = row.as_object().cloned().unwrap_or_default().into_iter();
        let kept = fields.filter(|(name, value)| !value.is_null() && (key == name || !self.one_in(8)));
        Json::Object(kept.collect())
    }
}

fn plural(entity: &str) -> String {
    match entity {
        "Alias" => "Aliases".to_owned(),
        "Push" => "Pushes".to_owned(),
        other => format!("{other}s"),
    }
}

fn key_fields(entity: &str) -> &'static str {
    match entity {
        "Member" => "code",
        "Draft" | "Guarded" | "Lease" => "name",
        "Session" => "token",
        "Code" => "text",
        _ => "id",
    }
}

fn key_of(entity: &str, row: &Json) -> Json {
    let name = key_fields(entity);
    row.get(name).map_or(json!({}), |value| json!({ name: value }))
}

impl Write {
    /// As a method of its own.
    fn into_request(self) -> (String, Json) {
        let singular = self.entity[..1].to_lowercase() + &self.entity[1..];
        let operation = if self.operation == "check" { "update" } else { self.operation };
        let mut body = match operation {
            "create" => json!({ singular: self.row }),
            "update" => {
                json!({ singular: self.row, "allowMissing": self.allow_missing, "transforms": self.transforms })
            }
            _ => key_of(self.entity, &self.row),
        };
        if operation == "update"
            && let Some(mask) = self.mask
        {
            body["updateMask"] = json!(mask);
        }
        if operation == "delete" {
            body["allowMissing"] = json!(self.allow_missing);
        }
        if operation != "create"
            && let Some(etag) = self.precondition.get("etag")
        {
            body["etag"] = etag.clone();
        }
        let verb = operation[..1].to_uppercase() + &operation[1..];
        (format!("{verb}{}", self.entity), body)
    }

    /// As one of several.
    fn into_commit(self) -> Json {
        let mut row = self.row;
        row["@type"] = json!(format!("type.googleapis.com/conformance.v1.{}", self.entity));
        let operation = match self.operation {
            "create" | "check" => row,
            "update" => {
                let mut update =
                    json!({ "row": row, "allowMissing": self.allow_missing, "transforms": self.transforms });
                if let Some(mask) = self.mask {
                    update["updateMask"] = json!(mask);
                }
                update
            }
            "delete" => json!({ "row": row, "allowMissing": self.allow_missing }),
            _ => json!({ "row": row }),
        };
        json!({ self.operation: operation, "precondition": self.precondition })
    }
}
