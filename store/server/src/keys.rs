//! The secret of a data directory, from which tokens are authenticated: they stay valid over a restart, and are worth
//! nothing elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

use hmac::{Hmac, Mac};
use kit_core::{Code, Error};
use sha2::Sha256;

const FILE_NAME: &str = "tokens.key";
const LENGTH: usize = 32;

/// The secret.
pub(crate) struct Secret([u8; LENGTH]);

impl From<[u8; LENGTH]> for Secret {
    fn from(secret: [u8; LENGTH]) -> Self {
        Self(secret)
    }
}

impl Secret {
    /// Reads a directory's secret; makes one if there is none.
    pub(crate) fn of(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(FILE_NAME);
        match File::open(&path) {
            Ok(file) => read(file, &path),
            Err(error) if error.kind() == ErrorKind::NotFound => make(&path),
            Err(error) => Err(refused(&path, &error)),
        }
    }

    /// A key for one purpose.
    pub(crate) fn derive(&self, purpose: &str) -> [u8; 32] {
        // An HMAC takes a key of any length.
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("any key will do");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// A number for one purpose, which says nothing of the secret.
    pub(crate) fn number(&self, purpose: &str) -> u64 {
        let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = self.derive(purpose);
        u64::from_le_bytes(first)
    }
}

fn read(mut file: File, path: &Path) -> Result<Secret, Error> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| refused(path, &error))?;
    bytes.try_into().map(Secret).map_err(|_| {
        let message = format!("{} must hold {LENGTH} bytes; remove it to get a new one", path.display());
        Error::new(Code::FailedPrecondition, "INVALID_KEY_FILE", message)
    })
}

/// Written beside its place and moved there, so that a crash leaves no half of it.
fn make(path: &Path) -> Result<Secret, Error> {
    let secret: [u8; LENGTH] = rand::random();
    let beside = path.with_extension("new");
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(&secret)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error| refused(path, &error))?;
    Ok(Secret(secret))
}

fn refused(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::FailedPrecondition, "INVALID_KEY_FILE", format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_secret_and_another_has_another() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Secret::of(one.path()).unwrap();
        assert_eq!(Secret::of(one.path()).unwrap().derive("a"), first.derive("a"));
        assert_ne!(first.derive("a"), first.derive("b"));
        assert_ne!(Secret::of(other.path()).unwrap().derive("a"), first.derive("a"));
    }

    #[test]
    fn a_damaged_secret_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE_NAME), b"short").unwrap();
        assert_eq!(Secret::of(directory.path()).err().unwrap().reason(), "INVALID_KEY_FILE");
    }
}
