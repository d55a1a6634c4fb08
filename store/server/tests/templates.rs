//! Templates that an operator gives.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use serde_json::json;
use support::http::{ask, get};
use support::{Shop, shop_schema};

/// Starts with templates, each a path below the directory and its text.
fn start(templates: &[(&str, &str)]) -> Result<(tempfile::TempDir, Shop), kit_core::Error> {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("templates");
    for (name, text) in templates {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut config = support::config(&directory.path().join("data"));
    config.templates = root;
    Shop::open(shop_schema(), config).map(|shop| (directory, shop))
}

fn refusal(templates: &[(&str, &str)]) -> String {
    start(templates).err().unwrap().message().to_owned()
}

#[test]
fn an_entity_has_its_own_page_and_the_others_the_general_one() {
    let general = "{% for row in rows %}[{% for cell in row.cells %}{{ cell.text }};{% endfor %}]{% endfor %}";
    let (_directory, shop) =
        start(&[("list.html", general), ("User/list.html", "<p>{{ rows | length }} users</p>")]).unwrap();
    let body = json!({"email": "a@x.org", "name": "<Ann>"});
    ask(shop.address, "POST", "/v1/users").json(&body).send().expect(201);
    assert_eq!(get(shop.address, "/v1/users.html").expect(200).text(), "<p>1 users</p>");
    ask(shop.address, "POST", "/v1/orders").json(&json!({"userId": "1", "note": "<b>"})).send().expect(201);
    let orders = get(shop.address, "/v1/orders.html").expect(200).text();
    assert!(orders.starts_with("[1;1;OPEN;") && orders.contains("&lt;b&gt;"), "{orders}");
}

#[test]
fn a_mistake_in_a_template_is_told_at_start_with_its_line() {
    let message = refusal(&[("User/list.html", "line one\n{% for row in rows %}\nno end\n")]);
    assert!(message.contains("User/list.html:"), "{message}");
    let message = refusal(&[("detail.html", "one\ntwo\n{{ fields | | }}\n")]);
    assert!(message.contains("detail.html:3: "), "{message}");
    let message = refusal(&[("Usr/list.html", "")]);
    assert!(message.contains("named after no entity") && message.contains("User"), "{message}");
    let message = refusal(&[("lst.html", "")]);
    assert!(message.contains("list.html"), "{message}");
}
