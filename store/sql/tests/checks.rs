//! What is refused at start, with what to do, on real servers.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use kit_core::Error;
use rowkeep_engine::conformance::{EngineSurface, Subject, schema};
use rowkeep_engine::{Capabilities, Changes, Engine, EngineOptions, OnlineDdl, Positions};
use rowkeep_mysql::{Tls, TlsMode};
use rowkeep_record::Codecs;
use rowkeep_schema::{Schema, compile_str};
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Address, Database, MySqlStore, Options, look, preview};
use serde_json::json;
use testkit::{DatabaseServer, Product};

testkit::on_both_products! {
    a_login_that_does_not_work_is_told_what_is_wrong_with_it
    a_user_with_no_right_at_all_is_told_which_to_ask_for
    missing_rights_are_named_all_at_once_by_the_statement_that_gives_them
    whoever_serves_needs_no_right_to_make_tables_once_they_are_there
    a_grant_by_pattern_is_replaced_as_a_whole
    rights_that_come_by_a_role_count_if_it_is_active
    an_old_server_is_refused
    a_server_that_logs_statements_is_refused
    names_in_upper_case_are_refused_where_the_server_would_lower_them
    what_a_database_can_do_is_what_its_server_says
}

fn what_a_database_can_do_is_what_its_server_says(product: Product) {
    let server = DatabaseServer::shared(product);
    let seen = look(&options(&server.least_url_of("test"))).unwrap().remove(0).state.unwrap();
    let (name, positions) = match product {
        Product::MariaDb => ("mariadb", Positions::GtidDomains),
        Product::MySql => ("mysql", Positions::GtidSets),
    };
    let logs = server.admin("SELECT @@global.log_bin") == "1";
    let expected = Capabilities {
        own_programs: 8,
        replicas: true,
        positions,
        changes: if logs { Changes::Log } else { Changes::None },
        online_ddl: OnlineDdl::Tools,
        ..Capabilities::local(name, server.admin("SELECT VERSION()"))
    };
    assert_eq!(*seen.capabilities, expected);
}

/// The suite's tables, made and served.
fn serve(url: &str) -> Result<Subject, Error> {
    serve_schema(url, &schema())
}

fn serve_schema(url: &str, schema: &Arc<Schema>) -> Result<Subject, Error> {
    let database = Database::open(&options(url))?;
    let plan = database.plan(schema)?;
    database.apply(&plan, schema, b"snapshot", &Allow::default())?;
    let store = MySqlStore::start(database, Arc::clone(schema), Arc::new(Codecs::new(schema)))?;
    let engine = Engine::new(Arc::clone(schema), store, EngineOptions::default())?;
    Ok(Subject::new(EngineSurface::new(engine, ())))
}

fn options(url: &str) -> Options {
    Options::new(url.parse().unwrap())
}

fn refused(url: &str) -> Error {
    serve(url).err().expect("a refusal")
}

/// What an administrator is told to run.
fn advice(error: &Error) -> &str {
    error.message().split_once("run, as an administrator of the server: ").expect("advice").1
}

fn a_login_that_does_not_work_is_told_what_is_wrong_with_it(product: Product) {
    let server = DatabaseServer::shared(product);
    let refused = |change: fn(&mut Address)| {
        let mut address: Address = server.url().parse().unwrap();
        change(&mut address);
        Database::open(&Options::new(address)).unwrap_err()
    };
    let error = refused(|address| address.password = "wrong".into());
    assert_eq!(error.reason(), "DATABASE_REFUSED");
    assert!(error.message().contains("check user and password"), "{}", error.message());
    let error = refused(|address| address.database = Some("test_nowhere".into()));
    assert!(error.message().contains("CREATE DATABASE `test_nowhere`"), "{}", error.message());
    let error = refused(|address| address.database = None);
    assert_eq!(error.reason(), "NO_DATABASE");
    let nobody = testkit::free_port();
    let address = Address { port: nobody, ..server.url().parse().unwrap() };
    let error = Database::open(&Options::new(address)).unwrap_err();
    assert!(error.message().contains("check host and port"), "{}", error.message());
    assert!(!error.message().contains("pass/word"), "{}", error.message());
}

/// The server lets nobody into a database where they may do nothing.
fn a_user_with_no_right_at_all_is_told_which_to_ask_for(product: Product) {
    let server = DatabaseServer::shared(product);
    server.admin("CREATE DATABASE IF NOT EXISTS shop_a");
    let url = server.user("nobody", "shop_a", &[]);
    let error = refused(&url);
    let wanted = r"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP ON `shop\_a`.* TO `nobody`@`127.0.0.1`";
    assert_eq!((error.reason(), advice(&error)), ("DATABASE_REFUSED", wanted));
    server.admin(wanted);
    serve(&url).unwrap().create("Line", json!({ "order_id": "1", "line": 1 }));
}

fn missing_rights_are_named_all_at_once_by_the_statement_that_gives_them(product: Product) {
    let server = DatabaseServer::shared(product);
    server.admin("CREATE DATABASE shop_b");
    let url = server.user("reader", "shop_b", &["SELECT, CREATE ON shop_b.*"]);
    let error = refused(&url);
    assert!(error.message().contains("lacks INSERT, UPDATE, DELETE, ALTER, DROP;"), "{}", error.message());
    // Written as the grant that there is: another one would be in its place.
    let wanted = "GRANT INSERT, UPDATE, DELETE, ALTER, DROP ON `shop_b`.* TO `reader`@`127.0.0.1`";
    assert_eq!((error.reason(), advice(&error)), ("GRANTS_MISSING", wanted));
    server.admin(wanted);
    serve(&url).unwrap().create("Line", json!({ "order_id": "1", "line": 1 }));
}

fn whoever_serves_needs_no_right_to_make_tables_once_they_are_there(product: Product) {
    let server = DatabaseServer::shared(product);
    server.admin("CREATE DATABASE shopc");
    let url = server.user("server", "shopc", &["SELECT, INSERT, UPDATE, DELETE ON shopc.*"]);
    let wanted = "GRANT CREATE, ALTER, DROP ON `shopc`.* TO `server`@`127.0.0.1`";
    assert_eq!(advice(&refused(&url)), wanted);
    let maker = server.user("maker", "shopc", &["ALL ON shopc.*"]);
    serve_schema(&maker, &compile(&["notes"])).unwrap();
    let subject = serve_schema(&url, &compile(&["notes"])).unwrap();
    subject.call("CreateNotesRow", json!({ "notesRow": { "id": "1" } }));
    drop(subject);
    // Another schema is refused before anything is begun.
    let error = serve_schema(&url, &compile(&["notes", "more"])).err().unwrap();
    assert_eq!((error.reason(), advice(&error)), ("GRANTS_MISSING", wanted));
    serve_schema(&url, &compile(&["notes"])).unwrap();
}

/// Of several grants that fit a database the closest alone counts: a new one has to give all.
fn a_grant_by_pattern_is_replaced_as_a_whole(product: Product) {
    let server = DatabaseServer::shared(product);
    server.admin("CREATE DATABASE shop_d");
    let url = server.user("pattern", "shop_d", &["SELECT, INSERT, UPDATE ON `shop%`.*"]);
    let error = refused(&url);
    assert!(error.message().contains("lacks DELETE, CREATE, ALTER, DROP;"), "{}", error.message());
    server.admin(advice(&error));
    serve(&url).unwrap().create("Line", json!({ "order_id": "1", "line": 1 }));
}

fn rights_that_come_by_a_role_count_if_it_is_active(product: Product) {
    let server = DatabaseServer::shared(product);
    server.admin("CREATE DATABASE shope; CREATE ROLE makers; GRANT ALL ON shope.* TO makers");
    let url = server.user("member", "shope", &["makers", "SELECT ON shope.*"]);
    let error = refused(&url);
    assert!(advice(&error).contains("make `makers`"), "{}", error.message());
    let to = if product == Product::MariaDb { "FOR" } else { "TO" };
    server.admin(&format!("SET DEFAULT ROLE makers {to} member@'127.0.0.1'"));
    serve(&url).unwrap().create("Line", json!({ "order_id": "1", "line": 1 }));
}

/// A real server that says it is older.
fn an_old_server_is_refused(product: Product) {
    let server = DatabaseServer::shared(product);
    let (major, minor) = server.version();
    let real = format!("{major}.{minor}.");
    // Of the same length.
    let old = if product == Product::MariaDb {
        format!("10.{:0>1$}.", 6, real.len() - 4)
    } else {
        format!("{:0>1$}.{minor}.", 5, major.to_string().len())
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = server.port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", upstream)).unwrap();
        let mut greeting = [0; 1024];
        let length = server.read(&mut greeting).unwrap();
        let greeting = &mut greeting[..length];
        let at = greeting.windows(real.len()).position(|part| part == real.as_bytes()).unwrap();
        greeting[at..at + old.len()].copy_from_slice(old.as_bytes());
        client.write_all(greeting).unwrap();
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut client, &mut server);
    });
    let tls = Tls { mode: Some(TlsMode::Off), ..Tls::default() };
    let address = Address { port, tls, ..server.url().parse().unwrap() };
    let error = Database::open(&Options::new(address)).unwrap_err();
    assert_eq!(error.reason(), "DATABASE_TOO_OLD");
    assert!(error.message().contains("MySQL 8.0.19 and MariaDB 10.11"), "{}", error.message());
}

fn a_server_that_logs_statements_is_refused(product: Product) {
    let server = DatabaseServer::start_with(product, &["--binlog-format=STATEMENT"]);
    let error = refused(&server.url());
    assert_eq!(error.reason(), "BINLOG_STATEMENT");
    assert!(error.message().contains("SET GLOBAL binlog_format = 'ROW'"), "{}", error.message());
    assert_eq!(preview(&options(&server.url()), &schema()).err().unwrap().reason(), "BINLOG_STATEMENT");
    server.admin("SET GLOBAL binlog_format = 'MIXED'");
    serve(&server.url()).unwrap();
    server.admin("SET GLOBAL binlog_format = 'ROW'");
    serve(&server.url()).unwrap();
}

fn names_in_upper_case_are_refused_where_the_server_would_lower_them(product: Product) {
    let server = DatabaseServer::start_with(product, &["--lower-case-table-names=1"]);
    let error = serve_schema(&server.url(), &compile(&["Notes"])).err().unwrap();
    assert_eq!(error.reason(), "TABLE_NAMES_LOWER_CASE");
    assert!(error.message().contains("cannot have the table Notes; give it `table: \"notes\"`"), "{}", error.message());
    assert_eq!(
        preview(&options(&server.url()), &compile(&["Notes"])).err().unwrap().reason(),
        "TABLE_NAMES_LOWER_CASE"
    );
    let notes = compile(&["notes"]);
    serve_schema(&server.url(), &notes).unwrap();
    let plan = preview(&options(&server.url()), &notes).unwrap().plan;
    assert!(plan.is_empty(), "{plan}");
}

/// A schema of these tables.
fn compile(tables: &[&str]) -> Arc<Schema> {
    let mut text = "syntax = \"proto3\";\npackage shop.v1;\nimport \"rowkeep/v1/options.proto\";\n".to_owned();
    for table in tables {
        let (first, rest) = table.split_at(1);
        let name = first.to_uppercase() + rest;
        text.push_str(&format!(
            "message {name}Row {{\n  option (rowkeep.v1.entity) = {{ table: \"{table}\" primary_key: \"id\" }};\n  \
             int64 id = 1;\n}}\n"
        ));
    }
    Arc::new(compile_str(&[("shop.proto", &text)]).unwrap_or_else(|mistakes| panic!("{mistakes}")))
}
