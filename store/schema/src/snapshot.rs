//! A schema as bytes, to be kept beside the rows it describes and compared with the next one.
//!
//! The bytes are a `google.protobuf.FileDescriptorSet` of the user's files and all they import, with options and without
//! source positions. Derived files are left out: they follow from the rest.

use prost_reflect::DescriptorPool;

use crate::build;
use crate::diagnostics::Diagnostics;
use crate::link::Linked;
use crate::model::Schema;
use crate::sources::Sources;

/// Number of `FileDescriptorProto.source_code_info`.
const SOURCE_CODE_INFO: u64 = 9;
/// Tag of `FileDescriptorSet.file`: field 1, length-delimited.
const FILE_TAG: u8 = 0x0a;

impl Schema {
    /// The schema as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let is_derived = |path: &str| self.derived.iter().any(|file| file.path == path);
        let mut bytes = Vec::new();
        for file in self.descriptors.files().filter(|file| !is_derived(file.name())) {
            let file = without_positions(&file.encode_to_vec());
            bytes.push(FILE_TAG);
            prost::encoding::encode_varint(file.len() as u64, &mut bytes);
            bytes.extend(file);
        }
        bytes
    }

    /// The schema of a snapshot, to compare with. It was checked when it was new and is not checked again; it has no
    /// methods, comments and places.
    ///
    /// # Errors
    /// If the bytes are no snapshot.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Self, Diagnostics> {
        let pool = DescriptorPool::decode(bytes).map_err(|error| {
            let mut problems = Diagnostics::default();
            problems.error(None, format!("the stored schema cannot be read: {error}"), "");
            problems
        })?;
        build::build_stored(Linked { pool, sources: Sources::default() })
    }
}

/// The file's fields without `source_code_info`, the others byte for byte.
fn without_positions(file: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(file.len());
    let mut rest = file;
    while !rest.is_empty() {
        let (length, number) = field_length(rest).unwrap_or((rest.len(), 0));
        let (field, tail) = rest.split_at(length.min(rest.len()));
        if number != SOURCE_CODE_INFO {
            kept.extend_from_slice(field);
        }
        rest = tail;
    }
    kept
}

/// Length and number of the first field.
fn field_length(bytes: &[u8]) -> Option<(usize, u64)> {
    let mut rest = bytes;
    let tag = prost::encoding::decode_varint(&mut rest).ok()?;
    let skip = match tag & 7 {
        0 => {
            prost::encoding::decode_varint(&mut rest).ok()?;
            0
        }
        1 => 8,
        2 => usize::try_from(prost::encoding::decode_varint(&mut rest).ok()?).ok()?,
        5 => 4,
        _ => return None,
    };
    Some((bytes.len() - rest.len() + skip, tag >> 3))
}
