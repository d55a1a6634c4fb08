//! Schemas that nobody here wrote: those of Debian's packages.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rowkeep_schema::Entity;
use serde_json::json;
use support::adopted::Adopted;
use support::rows::{camel, round_trip};
use tempfile::TempDir;
use testkit::Product;

/// The files of a package, fetched and unpacked.
fn package(name: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), "apt-get", &["-qq", "download", name]);
    let packed = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
    let packed: Vec<PathBuf> = packed.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect();
    let [packed] = packed.as_slice() else { panic!("{packed:?}") };
    run(directory.path(), "dpkg-deb", &["-x", packed.to_str().unwrap(), "."]);
    directory
}

fn run(directory: &Path, program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).current_dir(directory).status();
    assert!(status.unwrap_or_else(|error| panic!("{program}: {error}")).success(), "{program} {args:?}");
}

/// The text of a file, unpacked.
fn text(package: &TempDir, file: &str) -> String {
    let path = package.path().join(file);
    let mut gunzip = Command::new("zcat").args(["-f", path.to_str().unwrap()]).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    gunzip.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(gunzip.wait().unwrap().success());
    text
}

/// Every row, page by page.
fn rows(adopted: &Adopted, entity: &Entity) -> usize {
    let (method, plural) = (format!("List{}", entity.plural), camel(&entity.plural_snake));
    let (mut rows, mut token) = (0, String::new());
    loop {
        let page = adopted.api.call(&method, json!({ "pageSize": 1000, "pageToken": token }));
        rows += page[&plural].as_array().map_or(0, Vec::len);
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return rows;
        }
    }
}

#[test]
#[ignore = "long: packages are downloaded"]
fn roundcube_s_tables_are_imported_and_round_trip() {
    let package = package("roundcube-core");
    let script = text(&package, "usr/share/roundcube/SQL/mysql.initial.sql");
    let adopted = Adopted::new(Product::MariaDb, &script);
    assert_eq!((adopted.imported.tables, adopted.imported.warnings.len()), (17, 0));
    assert_eq!(adopted.api.get("System", json!({"name": "roundcube-version"}))["value"], "2022081200");
    adopted.sql("DELETE FROM `system`");
    assert_eq!(round_trip(&adopted), 17);
}

#[test]
#[ignore = "long: packages are downloaded"]
fn zabbix_s_tables_are_imported_and_round_trip() {
    let package = package("zabbix-server-mysql");
    let schema = text(&package, "usr/share/zabbix-server-mysql/schema.sql.gz");
    let adopted = Adopted::new(Product::MariaDb, &schema);
    assert_eq!((adopted.imported.tables, adopted.imported.warnings.len()), (173, 0));
    adopted.sql("DELETE FROM dbversion");
    assert_eq!(round_trip(&adopted), 173);
}

#[test]
#[ignore = "long: packages are downloaded"]
fn every_row_that_zabbix_brings_is_read() {
    let package = package("zabbix-server-mysql");
    let file = |name: &str| text(&package, &format!("usr/share/zabbix-server-mysql/{name}.sql.gz"));
    let adopted = Adopted::new(Product::MariaDb, &format!("{}\n{}\n{}", file("schema"), file("images"), file("data")));
    let mut total = 0;
    for entity in &adopted.schema.entities {
        let stored = adopted.sql(&format!("SELECT COUNT(*) FROM `{}`", entity.table)).remove(0);
        let read = rows(&adopted, entity);
        assert_eq!(read.to_string(), stored, "{}", entity.table);
        total += read;
    }
    assert!(total > 100_000, "{total}");
}
