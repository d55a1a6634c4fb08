//! Files that cannot be read to their end.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::io::{BufReader, Error, ErrorKind, Read};
use std::sync::Arc;

use rowkeep_engine::{Engine, EngineOptions, MemoryRows, OnConflict};
use rowkeep_record::csv::CsvOptions;
use rowkeep_schema::compile_str;
use rowkeep_transfer::{Format, LoadError, LoadOptions, OpenRejects, Rejects, load};

/// Gives a text and then fails.
struct Failing(&'static [u8]);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return Err(Error::new(ErrorKind::TimedOut, "the disk does not answer"));
        }
        self.0.read(buffer)
    }
}

fn engine() -> Engine {
    let text = "syntax = \"proto3\"; package t.v1; import \"rowkeep/v1/options.proto\";
        message Note { option (rowkeep.v1.entity) = {}; int64 id = 1; string text = 2; }";
    let schema = Arc::new(compile_str(&[("t.proto", text)]).unwrap());
    let rows = MemoryRows::new(&schema);
    Engine::new(schema, rows, EngineOptions::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_that_cannot_be_read_on_is_no_bad_row() {
    let files: [(Format, &[u8]); 2] =
        [(Format::Csv, b"id,text\n1,a\n2,b"), (Format::Ndjson, b"{\"id\":1,\"text\":\"a\"}\n{\"id\":2,\"te")];
    for (format, text) in files {
        let engine = engine();
        let entity = engine.schema().entities[0].id;
        let options = LoadOptions {
            format,
            csv: CsvOptions::default(),
            on_conflict: OnConflict::Fail,
            skip_bad: true,
            resume_id: None,
            restart: false,
        };
        let mut rejects = Vec::new();
        let input = BufReader::new(Failing(text));
        let open: OpenRejects<'_> = Box::new(|_| Ok(Rejects { file: Box::new(&mut rejects), is_empty: false }));
        let loaded = load(&engine, entity, input, &options, Some(open), &mut |_| {}).await;
        let Err(LoadError::Unreadable(error)) = loaded else { panic!("{format:?}: {loaded:?}") };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(error.to_string().contains("the disk does not answer"), "{error}");
        assert!(rejects.is_empty(), "{format:?}");
    }
}
