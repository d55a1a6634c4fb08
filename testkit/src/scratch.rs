//! Directories of servers, which are not to be left behind.
//!
//! A server that all tests of a process share is never dropped, and neither is its directory. So the name of a directory
//! tells its process, and the next process that wants one removes those of processes that are gone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Once,
};

use tempfile::TempDir;

const PREFIX: &str = "rowkeep-server-";

/// An empty directory that goes with its guard, or with its process.
pub(crate) fn directory() -> TempDir {
    static SWEEP: Once = Once::new();
    SWEEP.call_once(sweep);
    let prefix = format!("{PREFIX}{}-", std::process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().expect("a temporary directory")
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn sweep() {
    // Nothing is known of other processes where this is missing.
    if !Path::new("/proc/self").exists() {
        return;
    }
    for directory in left_behind(&std::env::temp_dir()) {
        let _ = fs::remove_dir_all(directory);
    }
}

fn left_behind(parent: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| owner(path).is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())).collect()
}

fn owner(directory: &Path) -> Option<u32> {
    directory.file_name()?.to_str()?.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_processes_that_are_gone_are_removed() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        // Larger than any process id.
        let gone = parent.path().join(format!("{PREFIX}4294967295-x"));
        let used = parent.path().join(format!("{PREFIX}{}-x", std::process::id()));
        for path in [&gone, &used, &parent.path().join("another")] {
            fs::create_dir(path).expect("make a directory");
        }
        assert_eq!(left_behind(parent.path()), [gone]);
    }
}
