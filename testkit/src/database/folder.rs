//! A folder that holds a small Debian, whose programs are run without changing root: by the folder's own loader with the
//! folder's own libraries. That needs no rights, and the libraries of this machine may be older.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Where programs keep what can be made again.
pub fn cache() -> PathBuf {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    // A relative one is to be ignored, says the specification.
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    cache.or_else(home).unwrap_or_else(env::temp_dir)
}

/// How a program of the folder is run: what to start, and what its own arguments come after.
pub(super) fn program(root: &Path, path: &str) -> (PathBuf, Vec<String>) {
    let libraries = libraries(root);
    let args = ["--library-path".to_owned(), libraries.display().to_string(), root.join(path).display().to_string()];
    (loader(&libraries), args.into())
}

/// `usr/lib/x86_64-linux-gnu`, or another machine's.
fn libraries(root: &Path) -> PathBuf {
    find(&root.join("usr/lib"), |name| name.contains("-linux-gnu"))
}

fn loader(libraries: &Path) -> PathBuf {
    find(libraries, |name| name.starts_with("ld-linux"))
}

fn find(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> PathBuf {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let name = names.find(|name| is_wanted(name));
    directory.join(name.unwrap_or_else(|| panic!("{} is not of Debian", directory.display())))
}
