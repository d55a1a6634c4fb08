//! Folders in the user's cache directory that are made once.

use std::{fs, path::Path};

use crate::Result;

/// Makes a folder unless it is there: beside it, and moved, so that whoever finds it finds it whole. Others who want it
/// meanwhile wait.
pub(super) fn once(folder: &Path, lock: &str, what: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let directory = folder.parent().ok_or("a folder that is made needs a parent")?;
    let failed = |error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    let lock = fs::File::create(directory.join(lock)).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if folder.is_dir() {
        return Ok(());
    }
    let mut name = folder.as_os_str().to_owned();
    // The name may have a dot of its own.
    name.push(".new");
    let new = Path::new(&name);
    // Of one that was broken off.
    let _ = fs::remove_dir_all(new);
    println!("putting {what} in {}", folder.display());
    make(new)?;
    fs::rename(new, folder).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::once;

    #[test]
    fn a_folder_is_made_once_and_found_whole_or_not_at_all() {
        let place = crate::shell::target().join(format!("folder-{}", std::process::id()));
        let folder = place.join("server-1.2");
        let broken = once(&folder, "lock", "a server", |new| {
            fs::create_dir(new).map_err(|error| error.to_string())?;
            Err("broken off".to_owned())
        });
        assert_eq!(broken, Err("broken off".to_owned()));
        assert!(!folder.exists());
        let make = |new: &std::path::Path| fs::create_dir(new).map_err(|error| error.to_string());
        assert_eq!(once(&folder, "lock", "a server", make), Ok(()));
        assert!(folder.is_dir());
        assert_eq!(once(&folder, "lock", "a server", |_| Err("made again".to_owned())), Ok(()));
        let _ = fs::remove_dir_all(place);
    }
}
