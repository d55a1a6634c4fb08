//! Disks that are full, read-only or damaged: a clear error, nothing lost, and work goes on once there is space.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::{SHOP, Scratch, contents, every_row, get, post, reason, rowkeep};
use testkit::{Rowkeep, http};

/// A small disk of its own; it goes with the guard.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        let disk = Self(path);
        disk.run("mount", &["-t", "tmpfs", "-o", size, "tmpfs"]);
        disk
    }

    fn run(&self, program: &str, args: &[&str]) {
        let output = Command::new(program).args(args).arg(&self.0).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "this test needs root, to mount a small disk: {program}: {said}");
    }

    /// Takes all the space there is.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let file = fs::File::create(&path).unwrap();
        let mut at = 0;
        for block in [64 << 10, 4 << 10, 512] {
            while file.write_all_at(&vec![1; block], at).is_ok() {
                at += block as u64;
            }
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// A user with a large name, so that few fill a disk.
fn user(number: usize) -> Value {
    let city: String = format!("{number} ").repeat(30).chars().take(100).collect();
    json!({"email": format!("{number}@x.org"), "name": "N".repeat(100), "city": city})
}

fn create(server: &Rowkeep, number: usize) -> http::Reply {
    http::json("POST", &format!("{}/v1/users", server.url()), &user(number).to_string())
}

#[test]
fn a_full_disk_refuses_writes_loses_nothing_and_is_forgotten_once_there_is_space() {
    let scratch = Scratch::default();
    let disk = Disk::mount(scratch.path("disk"), "size=8m");
    let server = Rowkeep::builder().schema(SHOP).data(&disk.0).start();
    let mut kept: Vec<Value> = (0..20).map(|number| post(&server, "/v1/users", &user(number))).collect();
    let ballast = disk.fill();

    let mut number = kept.len();
    let refused = loop {
        let reply = create(&server, number);
        number += 1;
        if reply.status != 201 {
            break reply;
        }
        kept.push(serde_json::from_slice(&reply.body).unwrap());
        assert!(kept.len() < 20_000, "the disk is never full");
    };
    assert_eq!((refused.status, reason(&refused).as_str()), (429, "DISK_FULL"), "{}", refused.text());
    let said: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(said["error"]["status"], "RESOURCE_EXHAUSTED");
    assert_eq!(said["error"]["details"][0]["metadata"]["applied"], "false", "{said:#}");
    // Again and again, and reads do not mind.
    for _ in 0..5 {
        assert_eq!(reason(&create(&server, number)), "DISK_FULL");
        assert_eq!(every_row(&server, "/v1/users"), kept);
    }
    assert_eq!(get(&server, &format!("/v1/users/{}", kept[7]["id"].as_str().unwrap())), kept[7]);

    fs::remove_file(ballast).unwrap();
    kept.push(post(&server, "/v1/users", &user(number)));
    assert_eq!(every_row(&server, "/v1/users"), kept);
    server.kill9();
    server.restart();
    assert_eq!(every_row(&server, "/v1/users"), kept);
    assert!(server.terminate().success());
}

#[test]
fn a_disk_without_space_for_a_start_says_so() {
    let scratch = Scratch::default();
    let disk = Disk::mount(scratch.path("disk"), "size=1m");
    disk.fill();
    let data = scratch.arg("disk");
    rowkeep(&["apply", SHOP, "--data", &data]).fails(1, &["full"]);
    rowkeep(&["serve", SHOP, "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", ""]).fails(1, &["full"]);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named_with_what_to_do() {
    let scratch = Scratch::default();
    let disk = Disk::mount(scratch.path("disk"), "size=8m");
    let data = scratch.arg("disk");
    let empty = scratch.path("empty");
    rowkeep(&["apply", SHOP, "--data", &data]).expect(0);
    let before = contents(&disk.0);
    disk.run("mount", &["-o", "remount,ro"]);
    let serve = |data: &str| rowkeep(&["serve", SHOP, "--data", data, "--listen", "127.0.0.1:0", "--admin-listen", ""]);
    serve(&data).fails(1, &[&data, "cannot be written to", "--data"]);
    let inside = format!("{data}/inside");
    serve(&inside).fails(1, &[&inside, "cannot be written to", "--data"]);
    rowkeep(&["apply", SHOP, "--data", &data]).fails(1, &[&data, "cannot be written to"]);
    rowkeep(&["dump", "User", "-s", SHOP, "--data", &data]).fails(1, &[&data, "cannot be written to"]);
    assert_eq!(contents(&disk.0), before);
    // A file where the directory should be.
    fs::write(&empty, "").unwrap();
    serve(empty.to_str().unwrap()).fails(1, &[empty.to_str().unwrap()]);
}

/// Data with some rows, closed.
fn closed_data(scratch: &Scratch) -> PathBuf {
    let rows: String = (0..2000).map(|number| format!("{}\n", user(number))).collect();
    let rows = scratch.write("users.ndjson", rows);
    rowkeep(&["load", "User", &rows, "-s", SHOP, "--data", &scratch.arg("data")]).expect(0);
    scratch.path("data/rowkeep.sqlite")
}

fn flip(path: &Path, at: u64, count: usize) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut bytes = vec![0; count];
    file.read_exact_at(&mut bytes, at).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 0xFF);
    file.write_all_at(&bytes, at).unwrap();
}

#[test]
fn a_damaged_header_is_told_and_left_as_it_is() {
    let scratch = Scratch::default();
    let file = closed_data(&scratch);
    let (data, copy) = (scratch.arg("data"), scratch.arg("copy.sqlite"));
    for (at, count, words) in
        [(0, 16, "not an SQLite file"), (68, 4, "another program"), (16, 2, "corrupt"), (100, 8, "corrupt")]
    {
        flip(&file, at, count);
        let before = contents(&scratch.path("data"));
        for args in [
            vec!["serve", SHOP, "--listen", "127.0.0.1:0"],
            vec!["plan", SHOP],
            vec!["apply", SHOP],
            vec!["dump", "User", "-s", SHOP],
            vec!["backup", &copy],
        ] {
            rowkeep(&[args, vec!["--data", &data]].concat()).fails(1, &["rowkeep.sqlite", words]);
        }
        assert_eq!(contents(&scratch.path("data")), before, "{words}");
        assert!(!scratch.path("copy.sqlite").exists());
        flip(&file, at, count);
    }
    assert_eq!(rowkeep(&["dump", "User", "-s", SHOP, "--data", &data]).expect(0).stdout.lines().count(), 2000);
}

#[test]
fn damage_in_the_middle_is_found_by_a_backup_and_after_a_crash() {
    let scratch = Scratch::default();
    let file = closed_data(&scratch);
    let (data, copy) = (scratch.arg("data"), scratch.arg("copy.sqlite"));
    let server = Rowkeep::builder().schema(SHOP).data(scratch.path("data")).start();
    server.kill9();
    // The first bytes of a page say what is on it.
    let middle = fs::metadata(&file).unwrap().len() / 2 / 4096 * 4096;
    flip(&file, middle, 32);
    rowkeep(&["backup", &copy, "--data", &data]).fails(1, &["corrupt", "backup"]);
    assert!(!scratch.path("copy.sqlite").exists() && !scratch.path("copy.sqlite.part").exists());
    let before = fs::read(&file).unwrap();
    let serve = ["serve", SHOP, "--data", &data, "--listen", "127.0.0.1:0", "--admin-listen", ""];
    rowkeep(&serve).fails(1, &["rowkeep.sqlite", "corrupt", "backup"]);
    assert!(fs::read(&file).unwrap() == before, "a file that is refused was changed");
}

#[test]
fn what_belongs_to_others_is_left_alone() {
    let scratch = Scratch::default();
    fs::create_dir(scratch.path("data")).unwrap();
    let file = scratch.path("data/rowkeep.sqlite");
    let theirs = rusqlite::Connection::open(&file).unwrap();
    theirs.execute_batch("CREATE TABLE users (name TEXT); INSERT INTO users VALUES ('mine')").unwrap();
    drop(theirs);
    let data = scratch.arg("data");
    let before = contents(&scratch.path("data"));
    for args in [vec!["plan", SHOP], vec!["apply", SHOP], vec!["serve", SHOP, "--listen", "127.0.0.1:0"]] {
        rowkeep(&[args, vec!["--data", &data]].concat()).fails(1, &["rowkeep.sqlite", "another program"]);
    }
    assert_eq!(contents(&scratch.path("data")), before);
    fs::write(&file, "a letter\n").unwrap();
    rowkeep(&["apply", SHOP, "--data", &data]).fails(1, &["rowkeep.sqlite", "not an SQLite file"]);
    assert_eq!(fs::read(&file).unwrap(), b"a letter\n");
}

#[test]
fn a_second_process_on_the_same_data_is_told_who_has_it() {
    let server = Rowkeep::start(SHOP, &[]);
    post(&server, "/v1/users", &user(1));
    let data = server.data().to_str().unwrap().to_owned();
    let holder = format!("process {}", server.id());
    let scratch = Scratch::default();
    let rows = scratch.write("users.ndjson", format!("{}\n", user(2)));
    for args in [
        vec!["serve", SHOP, "--listen", "127.0.0.1:0", "--admin-listen", ""],
        vec!["apply", SHOP],
        vec!["load", "User", &rows, "-s", SHOP],
        vec!["dump", "User", "-s", SHOP],
    ] {
        rowkeep(&[args, vec!["--data", &data]].concat()).fails(1, &["in use", &holder, "--data"]);
    }
    assert_eq!(every_row(&server, "/v1/users").len(), 1);
    // A lock is its holder's, and ends with it however that ends.
    server.kill9();
    rowkeep(&["load", "User", &rows, "-s", SHOP, "--data", &data]).expect(0);
    server.restart();
    assert_eq!(every_row(&server, "/v1/users").len(), 2);
}
