//! Schemas for tests, and snapshots.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};
use rowkeep_schema::{Schema, compile_str};

pub(crate) const SHOP: &str = include_str!("../../../../examples/shop/shop.proto");

pub(crate) fn compile(files: &[(&str, &str)]) -> Schema {
    compile_str(files).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

pub(crate) fn compile_error(files: &[(&str, &str)]) -> String {
    compile_str(files).expect_err("the schema is wrong").to_string()
}

pub(crate) fn shop() -> Schema {
    compile(&[("shop.proto", SHOP)])
}

/// Compiles texts with protox alone, against the repository's own `.proto` files.
pub(crate) fn recompile(files: &[(&str, &str)]) -> DescriptorPool {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()));
    resolver.add(IncludeFileResolver::new(proto.clone()));
    resolver.add(IncludeFileResolver::new(proto.join("third_party")));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    for (path, _) in files {
        compiler.open_file(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    compiler.descriptor_pool()
}

struct Texts(Vec<(String, String)>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let found = self.0.iter().find(|(path, _)| path == name);
        found.map_or_else(|| Err(protox::Error::file_not_found(name)), |(path, text)| File::from_source(path, text))
    }
}

/// Compares with `tests/snapshots/NAME`. With `UPDATE_SNAPSHOTS` set, writes it instead.
pub(crate) fn snapshot(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "snapshots", name].iter().collect();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).expect("the snapshot is written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{name} has changed: review it with UPDATE_SNAPSHOTS=1 cargo test and git diff");
}
