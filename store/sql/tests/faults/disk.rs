//! A disk that is slow, broken or full.
//!
//! Slow and broken it is made by `strace`, which can hold back the server's system calls and answer in the kernel's place.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::{DatabaseServer, Product};

use super::calls::{DEADLINE, Served, around};

testkit::on_both_products! {
    a_disk_that_flushes_late_makes_commits_unknown_at_the_deadline
    a_disk_that_fails_to_flush_takes_the_server_and_nothing_acknowledged
}

mod full {
    #[test]
    #[ignore = "the server looks once a minute whether there is space again"]
    fn a_full_disk_makes_commits_unknown_and_is_forgotten_once_there_is_space_mariadb() {
        super::a_full_disk_makes_commits_unknown_and_is_forgotten_once_there_is_space(testkit::Product::MariaDb);
    }

    #[test]
    #[ignore = "the server looks once a minute whether there is space again"]
    fn a_full_disk_makes_commits_unknown_and_is_forgotten_once_there_is_space_mysql() {
        super::a_full_disk_makes_commits_unknown_and_is_forgotten_once_there_is_space(testkit::Product::MySql);
    }
}

/// `strace` at a server, until it is dropped.
struct Injected(Child);

impl Injected {
    /// What becomes of each flush. `None`, said loudly, where processes may not be traced.
    fn flushes(server: &DatabaseServer, what: &str) -> Option<Self> {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("inject=fsync,fdatasync:{what}"));
        let id = server.id().to_string();
        let child = command.args(["-p", &id]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("strace (package strace): {error}"));
        let is_traced = || {
            std::fs::read_to_string(format!("/proc/{id}/status"))
                .is_ok_and(|status| status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0")))
        };
        for _ in 0..500 {
            if is_traced() {
                return Some(Self(child));
            }
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        // Past what hides the words of tests that pass.
        let said = String::from_utf8_lossy(&output.stderr);
        let _ = writeln!(std::io::stderr(), "SKIPPED: a failing disk, because processes cannot be traced here: {said}");
        None
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // Asked to end, it lets the server go on; killed, it might not.
        let _ = Command::new("kill").args(["-s", "TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

fn a_disk_that_flushes_late_makes_commits_unknown_at_the_deadline(product: Product) {
    let server = DatabaseServer::start(product);
    let served = Served::new(super::address(&server));
    let delay = DEADLINE + Duration::from_millis(300);
    let calls = around(&served, |running| {
        let Some(injected) = Injected::flushes(&server, &format!("delay_enter={}", delay.as_micros())) else { return };
        running.wait_for_failures(16);
        drop(injected);
    });
    let (writes, reads) = (calls.during(true), calls.during(false));
    assert!(writes.keys().all(|reason| ["", "COMMIT_UNKNOWN", "DEADLINE_EXCEEDED"].contains(reason)), "{writes:?}");
    assert!(reads.keys().all(|reason| reason.is_empty()), "reads need no flush: {reads:?}");
}

fn a_disk_that_fails_to_flush_takes_the_server_and_nothing_acknowledged(product: Product) {
    let server = DatabaseServer::start(product);
    let served = Served::new(super::address(&server));
    let calls = around(&served, |running| {
        let Some(injected) = Injected::flushes(&server, "error=EIO") else { return };
        running.wait_for_writes(24);
        testkit::wait_until("the server to end", || !server.is_running());
        drop(injected);
        server.restart();
    });
    let writes = calls.during(true);
    let known = ["", "COMMIT_UNKNOWN", "STORAGE_UNREACHABLE", "DEADLINE_EXCEEDED"];
    assert!(writes.keys().all(|reason| known.contains(reason)), "{writes:?}");
}

/// A small disk.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path, size: &str) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={size}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "this test needs root, to mount a small disk: {said}");
        Self(path.to_owned())
    }

    /// Leaves no space. The file that takes it.
    fn fill(&self) -> PathBuf {
        let file = self.0.join("filler");
        let status =
            Command::new("dd").args(["if=/dev/zero", "bs=4096"]).arg(format!("of={}", file.display())).output();
        assert!(status.is_ok_and(|output| !output.status.success()), "a disk that can be filled");
        file
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// The disk of the binary log.
fn a_full_disk_makes_commits_unknown_and_is_forgotten_once_there_is_space(product: Product) {
    let scratch = tempfile::tempdir().unwrap();
    let disk = Disk::mount(&scratch.path().join("disk"), "32m");
    let server = DatabaseServer::start_with(product, &[format!("--log-bin={}/binlog", disk.0.display())]);
    let served = Served::new(super::address(&server));
    let calls = around(&served, |running| {
        let filler = disk.fill();
        running.wait_for_failures(24);
        std::fs::remove_file(filler).unwrap();
        // Until then the commits that wait hold their connections.
        std::thread::sleep(Duration::from_secs(61));
    });
    let (writes, reads) = (calls.during(true), calls.during(false));
    let known = ["", "COMMIT_UNKNOWN", "DEADLINE_EXCEEDED", "DISK_FULL"];
    assert!(writes.keys().all(|reason| known.contains(reason)), "{writes:?}");
    assert!(reads.keys().all(|reason| reason.is_empty()), "{reads:?}");
    drop((server, disk));
}
