//! The files that a client needs to generate code.

use prost_reflect::DescriptorPool;

use crate::DerivedFile;

/// All files of `pool` that a client must have beside its compiler's own `google/protobuf/*.proto`: the user's, the
/// derived ones, the options and annotations they import. By import path, with text.
///
/// `source` knows the text of every file that was compiled; a file it does not know is left out.
pub fn client_files(
    pool: &DescriptorPool,
    derived: &[DerivedFile],
    source: impl Fn(&str) -> Option<String>,
) -> Vec<(String, String)> {
    let text = |path: &str| {
        let derived = derived.iter().find(|file| file.path == path).map(|file| file.source.clone());
        derived.or_else(|| source(path))
    };
    let files = pool.files();
    let wanted = files.filter(|file| !file.name().starts_with("google/protobuf/"));
    wanted.filter_map(|file| Some((file.name().to_owned(), text(file.name())?))).collect()
}
