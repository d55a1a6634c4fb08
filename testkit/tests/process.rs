//! Nothing outlives a test: not when it passes, panics, or is killed.
//!
//! The tests run this very executable again as a child with `HELPER` set, so that there is a test process to kill.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

use testkit::{Process, wait_until};

const HELPER: &str = "TESTKIT_HELPER";

/// Not a test of its own: what the helper process does.
#[test]
fn helper() {
    let Ok(role) = env::var(HELPER) else { return };
    let child = Process::start("sh", &["-c", "echo words of the child; exec sleep 1000"], &[]);
    child.log().wait_for(0, testkit::PATIENCE, |line| line.contains("words").then_some(())).expect("the child's log");
    println!("child {}", child.id());
    match role.as_str() {
        "panics" => panic!("on purpose"),
        "hangs" => drop(child.wait(testkit::PATIENCE)),
        _ => (),
    }
}

fn start_helper(role: &str) -> (Child, u32, BufReader<impl Read + use<>>) {
    let mut helper = Command::new(env::current_exe().unwrap())
        .args(["--exact", "helper", "--nocapture"])
        .env(HELPER, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(helper.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("child ") {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the helper ended without starting its child");
    }
    let id = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    (helper, id, lines)
}

/// A zombie counts as gone: it runs no code and holds no port; whoever adopted it will reap it.
fn is_running(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

#[test]
fn a_killed_test_process_leaves_no_child_behind() {
    let (mut helper, child, _lines) = start_helper("hangs");
    assert!(is_running(child));
    helper.kill().unwrap();
    helper.wait().unwrap();
    wait_until("the child to die with its test", || !is_running(child));
}

#[test]
fn a_panicking_test_shows_the_log_and_leaves_no_child_behind() {
    let (mut helper, child, _lines) = start_helper("panics");
    let mut errors = String::new();
    helper.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(!helper.wait().unwrap().success());
    assert!(!is_running(child));
    assert!(errors.contains("words of the child"), "the log is missing in:\n{errors}");
}

#[test]
fn a_passing_test_shows_no_log_and_leaves_no_child_behind() {
    let (mut helper, child, mut lines) = start_helper("passes");
    let (mut output, mut errors) = (String::new(), String::new());
    lines.read_to_string(&mut output).unwrap();
    helper.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(helper.wait().unwrap().success());
    assert!(!is_running(child));
    assert!(!output.contains("words of the child") && !errors.contains("words of the child"));
}

#[test]
fn a_child_outlives_the_thread_that_started_it() {
    let process = std::thread::spawn(|| Process::start("sleep", &["1000"], &[])).join().unwrap();
    // The thread that asked is gone. A child bound to it would be killed by now or within this time.
    assert!(process.wait(std::time::Duration::from_millis(100)).is_none());
}

#[test]
fn killing_a_child_kills_what_it_started() {
    let process = Process::start("sh", &["-c", "sleep 1000 & echo $!; wait"], &[]);
    let grandchild = process.log().wait_for(0, testkit::PATIENCE, |line| line.parse().ok()).unwrap();
    assert!(is_running(grandchild));
    process.kill9();
    wait_until("the grandchild to die", || !is_running(grandchild));
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let outcome = std::panic::catch_unwind(|| {
        let process = Process::start("/nowhere/program", &[] as &[&str], &[]);
        let status = process.wait(testkit::PATIENCE).unwrap();
        assert!(status.success(), "{}", process.log().text());
    });
    let message = *outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("/nowhere/program"), "{message}");
}
