//! The machine: which core does what, and what a process has used so far.

use std::{fs, io, path::PathBuf, process::Command};

use crate::Result;

/// Servers run here, and only here.
pub(crate) const SERVER_CORE: &str = "0";
/// Load comes from here.
pub(crate) const LOAD_CORE: &str = "1";

/// `bench/`.
pub(crate) fn directory() -> PathBuf {
    testkit::workspace_root().join("bench")
}

/// What is built or fetched once, and the data of servers under test: on the same disk as the checkout.
pub(crate) fn cache() -> io::Result<PathBuf> {
    let cache = directory().join("cache");
    fs::create_dir_all(&cache)?;
    Ok(cache)
}

/// A directory in the [`cache`] that is gone when it is dropped.
pub(crate) fn scratch() -> io::Result<tempfile::TempDir> {
    tempfile::tempdir_in(cache()?)
}

/// Moves a process with all its threads to a core.
pub(crate) fn pin(process: u32, core: &str) -> Result<()> {
    let status = Command::new("taskset").args(["-a", "-c", "-p", core, &process.to_string()]).output();
    let status = status.map_err(|error| format!("taskset: {error}"))?.status;
    if status.success() { Ok(()) } else { Err(format!("process {process} cannot be pinned to core {core}")) }
}

/// CPU time of a process and all its threads so far, in microseconds.
pub(crate) fn cpu_micros(process: u32) -> Result<f64> {
    let stat = read(&format!("/proc/{process}/stat"))?;
    // The second field is the program's name in parentheses and may hold spaces.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let user = ticks(11).ok_or("/proc/PID/stat has no utime")?;
    let system = ticks(12).ok_or("/proc/PID/stat has no stime")?;
    // The kernel's unit is fixed at 100 per second for programs, whatever its own clock.
    Ok((user + system) * 10_000.0)
}

/// Resident memory in MiB: now, or the most there was (`VmHWM`).
pub(crate) fn memory_mib(process: u32, line: &str) -> Result<f64> {
    let status = read(&format!("/proc/{process}/status"))?;
    let value = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| format!("/proc/{process}/status has no {line}"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// One line about the machine, for the results.
pub(crate) fn describe() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} ({cores} cores)", model.unwrap_or("unknown CPU"))
}

/// The commit that is measured.
pub(crate) fn commit() -> String {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(directory()).output();
    git.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Today, UTC.
pub(crate) fn today() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    date.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
