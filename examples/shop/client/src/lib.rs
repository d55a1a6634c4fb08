//! A client of the shop as tonic-build makes it: the modules are the packages of the definition.

#![allow(missing_docs, unused_qualifications, rustdoc::all, clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/packages.rs"));

/// What the client was generated from: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/shop.binpb"));
