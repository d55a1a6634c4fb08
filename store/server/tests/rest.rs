//! The REST surface, request by request.

mod support;

use serde_json::{Value, json};
use support::Shop;
use support::http::{Answer, ask, get};

fn create_user(shop: &Shop, name: &str) -> Answer {
    let body = json!({"email": format!("{}@example.com", name.to_lowercase()), "name": name, "city": "Oslo"});
    ask(shop.address, "POST", "/v1/users").json(&body).send().expect(201)
}

#[test]
fn a_row_is_created_read_listed_changed_and_deleted() {
    let shop = Shop::start();
    let created = create_user(&shop, "Ann");
    let url = created.header("location").unwrap().to_owned();
    assert_eq!(url, format!("/v1/users/{}", created.json()["id"].as_str().unwrap()));
    assert!(created.header("etag").is_some() && created.header("rowkeep-session").is_some());

    let read = get(shop.address, &url).expect(200);
    assert_eq!(read.json(), created.json());
    assert_eq!(read.header("content-type"), Some("application/json"));
    assert_eq!(read.header("etag"), created.header("etag"));

    let listed = get(shop.address, "/v1/users?page_size=10").expect(200).json();
    assert_eq!(listed["users"], json!([created.json()]));

    let changed = ask(shop.address, "PATCH", &url).json(&json!({"name": "Anna"})).send().expect(200);
    assert_eq!(changed.json()["name"], "Anna");
    assert_eq!(changed.json()["city"], "Oslo");
    assert_ne!(changed.header("etag"), created.header("etag"));

    assert_eq!(ask(shop.address, "DELETE", &url).send().expect(200).json(), json!({}));
    assert_eq!(get(shop.address, &url).expect(404).reason(), "NOT_FOUND");
}

#[test]
fn a_patch_writes_the_keys_that_are_present_and_null_clears() {
    let shop = Shop::start();
    let url = create_user(&shop, "Ann").header("location").unwrap().to_owned();
    let patched = ask(shop.address, "PATCH", &url).json(&json!({"city": null})).send().expect(200).json();
    assert_eq!((patched.get("city"), &patched["name"]), (None, &json!("Ann")));
    let patched = ask(shop.address, "PATCH", &url).json(&json!({"city": ""})).send().expect(200).json();
    assert_eq!(patched["city"], "");
    // A mask in the query says which; what it does not name is left alone.
    let target = format!("{url}?updateMask=name");
    let body = json!({"name": "Bea", "city": "Rome"});
    let patched = ask(shop.address, "PATCH", &target).json(&body).send().expect(200).json();
    assert_eq!((&patched["name"], &patched["city"]), (&json!("Bea"), &json!("")));
    let refused = ask(shop.address, "PATCH", &url).json(&json!({"nmae": "x"})).send().expect(400);
    assert!(refused.text().contains("nmae"), "{}", refused.text());
}

#[test]
fn etags_guard_reads_and_writes() {
    let shop = Shop::start();
    let created = create_user(&shop, "Ann");
    let (url, etag) = (created.header("location").unwrap(), created.header("etag").unwrap());
    let with = |verb: &str, name: &str, value: &str, body: Option<Value>| {
        let request = ask(shop.address, verb, url).header(name, value);
        match body {
            Some(body) => request.json(&body).send(),
            None => request.send(),
        }
    };
    let known = with("GET", "if-none-match", etag, None).expect(304);
    assert_eq!((known.header("etag"), known.body.len()), (Some(etag), 0));
    with("GET", "if-none-match", "\"AAAAAAAAAAA\"", None).expect(200);
    with("GET", "if-match", "\"AAAAAAAAAAA\"", None).expect(412);
    let stale = with("PATCH", "if-match", "\"AAAAAAAAAAA\"", Some(json!({"name": "x"}))).expect(412);
    assert_eq!(stale.reason(), "ETAG_MISMATCH");
    let stale = ask(shop.address, "PATCH", &format!("{url}?etag=AAAAAAAAAAA")).json(&json!({"name": "x"})).send();
    assert_eq!(stale.expect(409).reason(), "ETAG_MISMATCH");
    let both = |tag: &str| {
        let target = format!("{url}?etag={tag}");
        ask(shop.address, "PATCH", &target).header("if-match", etag).json(&json!({"name": "x"})).send()
    };
    let contradiction = both("AAAAAAAAAAA").expect(400).text();
    assert!(contradiction.contains("CONTRADICTION") && contradiction.contains("If-Match"), "{contradiction}");
    both(etag.trim_matches('"')).expect(200);
    let etag = get(shop.address, url).expect(200);
    let etag = etag.header("etag").unwrap();
    with("PATCH", "if-match", etag, Some(json!({"name": "Anna"}))).expect(200);
    with("DELETE", "if-match", etag, None).expect(412);
    with("DELETE", "if-match", "*", None).expect(200);
    with("DELETE", "if-match", "*", None).expect(404);
}

#[test]
fn a_row_that_must_be_new_is_refused_with_412_if_it_exists() {
    let shop = Shop::start();
    create_user(&shop, "Ann");
    let body = json!({"email": "ann@example.com", "name": "Other"});
    let request = ask(shop.address, "POST", "/v1/users").json(&body);
    assert_eq!(request.send().expect(409).reason(), "ALREADY_EXISTS");
    let request = ask(shop.address, "POST", "/v1/users").header("if-none-match", "*").json(&body);
    request.send().expect(412);
    let upsert = |name: &str| {
        let target = "/v1/users/77?allow_missing=true";
        let body = json!({"email": "new@example.com", "name": name});
        ask(shop.address, "PATCH", target).header("if-none-match", "*").json(&body).send()
    };
    let created = upsert("New").expect(201);
    assert_eq!(created.header("location"), Some("/v1/users/77"));
    upsert("Newer").expect(412);
}

#[test]
fn a_repeated_idempotency_key_answers_alike_and_other_content_is_refused() {
    let shop = Shop::start();
    let post = |name: &str| {
        let body = json!({"email": "ann@example.com", "name": name});
        ask(shop.address, "POST", "/v1/users").header("idempotency-key", "\"k1\"").json(&body).send()
    };
    let first = post("Ann").expect(201);
    let again = post("Ann").expect(201);
    assert_eq!(first.json(), again.json());
    let other = post("Bob");
    assert_eq!(other.expect(409).reason(), "REQUEST_ID_REUSED");
    assert_eq!(get(shop.address, "/v1/users").expect(200).json()["users"].as_array().unwrap().len(), 1);
}

#[test]
fn a_verb_whose_body_was_forgotten_is_refused() {
    let shop = Shop::start();
    for target in ["/v1/users:batchCreate", "/v1/users:batchDelete", "/v1/orderItems:batchGet", "/v1:commit"] {
        ask(shop.address, "POST", target).send().expect(400);
        ask(shop.address, "POST", target).header("content-type", "application/json").send().expect(400);
    }
    // The path says it all.
    ask(shop.address, "POST", "/v1/products/1:undelete").send().expect(404);
}

#[test]
fn batches_lookups_and_commits_are_in_reach() {
    let shop = Shop::start();
    let requests = json!({"requests": [
        {"user": {"email": "a@x.org", "name": "A"}},
        {"user": {"email": "b@x.org", "name": "B"}},
    ]});
    let created = ask(shop.address, "POST", "/v1/users:batchCreate").json(&requests).send().expect(200).json();
    let ids: Vec<&str> = created["users"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).collect();
    let found = get(shop.address, &format!("/v1/users:batchGet?ids={}&ids={}", ids[1], ids[0])).expect(200).json();
    assert_eq!((&found["users"][0]["name"], &found["users"][1]["name"]), (&json!("B"), &json!("A")));
    get(shop.address, &format!("/v1/users:batchGet?ids={}&ids=999", ids[0])).expect(404);
    let missing = get(shop.address, &format!("/v1/users:batchGet?ids={}&ids=999&allowMissing=true", ids[0]));
    assert_eq!(missing.expect(200).json()["missingIds"], json!(["999"]));
    let found = get(shop.address, "/v1/users:getByEmail?email=b%40x.org").expect(200).json();
    assert_eq!(found["name"], "B");

    let commit = json!({"writes": [
        {"create": {"@type": "type.googleapis.com/shop.v1.Product", "sku": "ABC-1", "name": "Cup",
                    "price": {"value": "9.50"}, "stock": "3"}},
        {"update": {"row": {"@type": "type.googleapis.com/shop.v1.User", "id": ids[0], "name": "AA"}},
         "precondition": {"exists": true}},
    ]});
    let done = ask(shop.address, "POST", "/v1:commit").json(&commit).send().expect(200).json();
    assert_eq!(done["results"][0]["row"]["name"], "Cup");
    assert_eq!(done["results"][1]["row"]["name"], "AA");
    let failing = json!({"writes": [
        {"delete": {"row": {"@type": "type.googleapis.com/shop.v1.User", "id": ids[0]}}},
        {"check": {"@type": "type.googleapis.com/shop.v1.User", "id": "999"}, "precondition": {"exists": true}},
    ]});
    let refused = ask(shop.address, "POST", "/v1:commit").json(&failing).send();
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    get(shop.address, &format!("/v1/users/{}", ids[0])).expect(200);
}

#[test]
fn an_etag_in_the_row_is_a_condition_of_its_update() {
    let shop = Shop::start();
    create_user(&shop, "Ann");
    let order = ask(shop.address, "POST", "/v1/orders").json(&json!({"userId": "1"})).send().expect(201).json();
    let mut read = order.clone();
    read["note"] = json!("first");
    let written = ask(shop.address, "PATCH", "/v1/orders/1").json(&read).send().expect(200).json();
    assert_eq!(written["note"], "first");
    read["note"] = json!("second");
    let refused = ask(shop.address, "PATCH", "/v1/orders/1").json(&read).send().expect(409);
    assert!(refused.text().contains("ETAG_MISMATCH"), "{}", refused.text());
    let row = json!({"@type": "type.googleapis.com/shop.v1.Order", "id": "1", "note": "third", "etag": order["etag"]});
    let commit = json!({"writes": [{"update": {"row": row}}]});
    ask(shop.address, "POST", "/v1:commit").json(&commit).send().expect(409);
}

#[test]
fn a_soft_deleted_row_comes_back() {
    let shop = Shop::start();
    let body = json!({"sku": "ABC-1", "name": "Cup", "price": {"value": "9.50"}});
    let url = ask(shop.address, "POST", "/v1/products").json(&body).send().expect(201);
    let url = url.header("location").unwrap();
    let deleted = ask(shop.address, "DELETE", url).send().expect(200).json();
    assert!(deleted["deletedAt"].is_string(), "{deleted}");
    assert_eq!(get(shop.address, "/v1/products").expect(200).json(), json!({}));
    let shown = get(shop.address, "/v1/products?show_deleted=true").expect(200).json();
    assert_eq!(shown["products"].as_array().unwrap().len(), 1);
    let back = ask(shop.address, "POST", &format!("{url}:undelete")).send().expect(200).json();
    assert_eq!(back.get("deletedAt"), None);
}

#[test]
fn lists_are_filtered_sorted_and_paged_in_every_form() {
    let shop = Shop::start();
    for name in ["Ann", "Bob", "Cid", "Dan", "Eve"] {
        create_user(&shop, name);
    }
    let first =
        get(shop.address, "/v1/users?filter=city%20%3D%20%22Oslo%22&order_by=city&pageSize=2").expect(200).json();
    let token = first["nextPageToken"].as_str().unwrap();
    let next = format!("/v1/users?filter=city%20%3D%20%22Oslo%22&order_by=city&pageSize=3&page_token={token}");
    let next = get(shop.address, &next).expect(200).json();
    assert_eq!(next["users"].as_array().unwrap().len(), 3);
    assert_eq!(next.get("nextPageToken"), None);
    let foreign = get(shop.address, &format!("/v1/users?page_token={token}")).expect(400);
    assert!(foreign.text().contains("page_token"), "{}", foreign.text());
    let total = get(shop.address, "/v1/users?include_total_size=true&page_size=1").expect(200).json();
    assert_eq!(total["totalSize"], "5");

    let csv = get(shop.address, "/v1/users.csv").expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.text().lines().count(), 6, "{}", csv.text());
    let lines = ask(shop.address, "GET", "/v1/users").header("accept", "application/x-ndjson").send().expect(200);
    let names: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(names.iter().map(|row: &Value| &row["name"]).collect::<Vec<_>>(), ["Ann", "Bob", "Cid", "Dan", "Eve"]);
    let page = get(shop.address, "/v1/users.ndjson?page_size=2").expect(200);
    assert_eq!(page.text().lines().count(), 2);
    assert!(page.header("link").unwrap().ends_with("; rel=\"next\""));

    let xml = get(shop.address, "/v1/users/1.xml").expect(200);
    assert!(xml.text().contains("<User><id>1</id>"), "{}", xml.text());
    let html = ask(shop.address, "GET", "/v1/users?page_size=2").header("accept", "text/html").send().expect(200);
    assert!(html.text().contains("Next page") && html.text().contains("ann@example.com"));
    let markdown = get(shop.address, "/v1/users/1.md").expect(200);
    assert!(markdown.text().starts_with("# User 1\n"), "{}", markdown.text());
}

#[test]
fn pages_show_zeros_and_only_the_columns_that_are_asked_for() {
    let shop = Shop::start();
    let body = json!({"sku": "ABC-1", "name": "Cup", "price": {"value": "9.50"}});
    ask(shop.address, "POST", "/v1/products").json(&body).send().expect(201);
    let page = get(shop.address, "/v1/products.md?fields=name,stock").expect(200).text();
    assert!(page.contains("| name | stock |") && page.contains("| Cup | 0 |"), "{page}");
    assert!(!get(shop.address, "/v1/products.md").expect(200).text().contains("[]"));
    assert!(!get(shop.address, "/v1/products/1.md?fields=name").expect(200).text().contains("sku"));
}

#[test]
fn an_export_streams_over_many_pages() {
    let shop = Shop::start();
    for batch in 0..3 {
        let requests: Vec<_> = (0..500)
            .map(|i| json!({"user": {"email": format!("{batch}-{i}@x.org"), "name": format!("N{batch}-{i}")}}))
            .collect();
        ask(shop.address, "POST", "/v1/users:batchCreate").json(&json!({"requests": requests})).send().expect(200);
    }
    let csv = get(shop.address, "/v1/users.csv?fields=id,name").expect(200);
    assert!(csv.complete);
    assert_eq!(csv.text().lines().next(), Some("id,name"));
    assert_eq!(csv.text().lines().count(), 1501);
    let packed = ask(shop.address, "GET", "/v1/users.ndjson").header("accept-encoding", "gzip").send().expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.body.as_slice()), &mut text).unwrap();
    assert_eq!(text.lines().count(), 1500);
}

#[test]
fn fields_are_chosen_and_unknown_parameters_are_refused() {
    let shop = Shop::start();
    create_user(&shop, "Ann");
    assert_eq!(get(shop.address, "/v1/users/1?fields=name").expect(200).json(), json!({"name": "Ann"}));
    let listed = get(shop.address, "/v1/users?readMask=id,createdAt").expect(200).json();
    assert_eq!(listed["users"][0].as_object().unwrap().len(), 2, "{listed}");
    let refused = get(shop.address, "/v1/users?pageSise=5").expect(400);
    assert!(refused.text().contains("did you mean `page_size`"), "{}", refused.text());
    get(shop.address, "/v1/users?page_size=1&pageSize=2").expect(400);
    get(shop.address, "/v1/users/1?fields=nope").expect(400);
}

#[test]
fn what_http_offers_is_answered_as_http_says() {
    let shop = Shop::start();
    create_user(&shop, "Ann");
    let head = ask(shop.address, "HEAD", "/v1/users/1").send().expect(200);
    assert!(head.body.is_empty() && head.header("etag").is_some());
    assert_eq!(head.header("content-length"), Some(get(shop.address, "/v1/users/1").body.len().to_string().as_str()));
    let options = ask(shop.address, "OPTIONS", "/v1/users/1").send().expect(204);
    assert!(options.header("allow").unwrap().contains("PATCH"));
    let refused = ask(shop.address, "PUT", "/v1/users/1").json(&json!({})).send().expect(405);
    assert!(refused.header("allow").unwrap().contains("PATCH"));
    ask(shop.address, "GET", "/v1/users/1").header("accept", "image/png").send().expect(406);
    get(shop.address, "/v1/users/1.csv").expect(406);
    ask(shop.address, "POST", "/v1/users").header("content-type", "text/plain").body("x").send().expect(415);
    ask(shop.address, "POST", "/v1/users").body("{}").send().expect(415);
    ask(shop.address, "POST", "/v1/users").header("content-encoding", "br").body("x").send().expect(415);
    ask(shop.address, "POST", "/v1/users").json(&json!({"name": "x".repeat(2 << 20)})).send().expect(413);
    assert_eq!(get(shop.address, "/v1/nothing").expect(404).reason(), "UNKNOWN_PATH");
    get(shop.address, "/v1/users/abc").expect(400);
    get(shop.address, "/v1/users/007").expect(400);
    get(shop.address, "/v1/users/%ff").expect(400);
    let weak = ask(shop.address, "GET", "/v1/users/1").header("rowkeep-consistency", "weak").send().expect(400);
    assert!(weak.text().contains("max-staleness"), "{}", weak.text());
}

#[test]
fn the_pages_around_the_entities_are_there_and_load_nothing_from_elsewhere() {
    let shop = Shop::start();
    let index = ask(shop.address, "GET", "/").header("accept", "text/html").send().expect(200);
    assert!(index.text().contains("/v1/orderItems"));
    let docs = get(shop.address, "/docs").expect(200);
    for page in [&index, &docs] {
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert!(!page.text().contains("https://"), "a page names another site");
    }
    let openapi = get(shop.address, "/openapi.json").expect(200);
    assert_eq!(openapi.json()["openapi"], "3.1.0");
    assert!(openapi.json()["paths"]["/v1/users/{id}"]["get"].is_object());
    let etag = openapi.header("etag").unwrap();
    ask(shop.address, "GET", "/openapi.json").header("if-none-match", etag).send().expect(304);
    ask(shop.address, "POST", "/docs").send().expect(405);
}

#[test]
fn whatever_a_row_holds_is_text_on_its_pages() {
    let shop = Shop::start();
    let evil = "<script>alert(1)</script>\"'&{{7*7}}";
    let body = json!({"email": "x@x.org", "name": evil, "city": "](javascript:1)|`"});
    ask(shop.address, "POST", "/v1/users").json(&body).send().expect(201);
    for target in ["/v1/users.html", "/v1/users/1.html"] {
        let text = get(shop.address, target).expect(200).text();
        assert!(!text.contains("<script>") && text.contains("&lt;script&gt;"), "{text}");
        assert!(text.contains("{{7*7}}"), "{text}");
    }
    for target in ["/v1/users.md", "/v1/users/1.md"] {
        let text = get(shop.address, target).expect(200).text();
        assert!(!text.contains("<script>") && text.contains("\\](javascript:1)\\|"), "{text}");
    }
    let failed = ask(shop.address, "GET", "/v1/users/%3Cscript%3E").header("accept", "text/html").send().expect(400);
    assert!(!failed.text().contains("<script>"), "{}", failed.text());
}

#[test]
fn detail_pages_link_along_references_both_ways() {
    let shop = Shop::start();
    create_user(&shop, "Ann");
    ask(shop.address, "POST", "/v1/orders").json(&json!({"userId": "1"})).send().expect(201);
    let order = get(shop.address, "/v1/orders/1.html").expect(200).text();
    assert!(order.contains("href=\"/v1/users/1\""), "{order}");
    let user = get(shop.address, "/v1/users/1.html").expect(200).text();
    assert!(user.contains("Orders by user_id"), "{user}");
    let orders = get(shop.address, "/v1/orders?filter=user_id%20%3D%201").expect(200).json();
    assert_eq!(orders["orders"].as_array().unwrap().len(), 1);
}

#[test]
fn other_origins_may_call_only_if_they_are_configured() {
    let shop = Shop::start();
    let asked = ask(shop.address, "GET", "/v1/users").header("origin", "https://a.example").send().expect(200);
    assert_eq!(asked.header("access-control-allow-origin"), None);
    let shop = Shop::start_with(|config| {
        config.rest.cors.allowed_origins = vec!["https://a.example".to_owned()];
    });
    let from = |origin: &str| ask(shop.address, "GET", "/v1/users").header("origin", origin).send().expect(200);
    assert_eq!(from("https://a.example").header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(from("https://b.example").header("access-control-allow-origin"), None);
    let preflight = ask(shop.address, "OPTIONS", "/v1/users/1")
        .header("origin", "https://a.example")
        .header("access-control-request-method", "PATCH")
        .send()
        .expect(204);
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("PATCH"));
}
