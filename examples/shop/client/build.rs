//! Generates the client from the definition that `rowkeep proto` prints.
//!
//! That text is kept, and compared with what is derived, by the tests of `rowkeep-schema`; this crate's tests compare what
//! is compiled here with what the binary writes. So nothing of the server is built for it, and no protoc is needed.

use std::{env, error::Error, fs, path::Path};

/// Where the files lie that `rowkeep proto --out DIR` would gather in one directory.
const INCLUDES: [&str; 4] = ["store/schema/tests/snapshots", "examples/shop", "proto", "proto/third_party"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let mut compiler = protox::Compiler::new(INCLUDES.map(|directory| root.join(directory)))?;
    compiler.include_imports(true).include_source_info(true).open_file("shop/v1/shop_rowkeep.proto")?;
    for path in compiler.files().filter_map(|file| file.path()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    fs::write(Path::new(&env::var("OUT_DIR")?).join("shop.binpb"), compiler.encode_file_descriptor_set())?;
    // A commit takes rows with their names.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .build_server(false)
        .include_file("packages.rs")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}
