//! The process that follows: this test once more, which does nothing else if it is told where.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::Path;

use rowkeep_binlog::{Cell, Change, Error, Hidden, Image, Rows, Statement};
use rowkeep_changes::{Event, Place, Source, Take, Taken, Touched, resume};
use rowkeep_mysql::Connection;
use testkit::{Process, Product};

use crate::journal::Journal;

const ADDRESS: &str = "ROWKEEP_TEST_FOLLOW";
const PRODUCT: &str = "ROWKEEP_TEST_PRODUCT";
const JOURNAL: &str = "ROWKEEP_TEST_JOURNAL";

pub(crate) struct Child(Process);

impl Child {
    pub(crate) fn start(product: Product, address: &str, journal: &Journal) -> Self {
        let product = if product == Product::MariaDb { "mariadb" } else { "mysql" };
        let path = journal.path().to_str().unwrap();
        let program = std::env::current_exe().unwrap();
        let args = ["--exact", "follower::a_process_that_follows", "--nocapture"];
        Self(Process::start(program, &args, &[(ADDRESS, address), (JOURNAL, path), (PRODUCT, product)]))
    }

    /// At once, wherever it is.
    pub(crate) fn kill(self) {
        self.0.kill9();
    }
}

/// A row as the server's tool prints it: one line, long values by their hash.
pub(crate) fn value(text: &str) -> String {
    if text.len() <= 64 {
        return text.to_owned();
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{} bytes {:016x}", text.len(), hasher.finish())
}

#[derive(Debug)]
struct Lines;

impl Take for Lines {
    type Table = ();
    type Row = String;

    async fn ask(&mut self, _: &mut Connection, _: &[Hidden]) -> Result<(), Error> {
        Ok(())
    }

    fn rows(&mut self, mut rows: Rows<'_>, into: &mut Taken<(), String>) -> Result<(), Error> {
        let table = rows.table();
        if table.database != "test" || !table.name.starts_with('w') {
            return Ok(());
        }
        let name = table.name.clone();
        let change = match rows.change() {
            Change::Insert => "INSERT",
            Change::Update => "UPDATE",
            Change::Delete => "DELETE",
        };
        while let Some(row) = rows.next()? {
            let mut line = format!("{change} {name}");
            if let Some(before) = row.before {
                image(" WHERE ", &before, &mut line)?;
            }
            if let Some(after) = row.after {
                image(" SET ", &after, &mut line)?;
            }
            let bytes = line.len();
            into.push((), line, bytes);
        }
        Ok(())
    }

    fn statement(&mut self, _: &Statement<'_>) -> Touched<()> {
        // Rows alone are looked at here.
        Touched::default()
    }
}

fn image(word: &str, image: &Image<'_>, line: &mut String) -> Result<(), Error> {
    line.push_str(word);
    for cell in image.cells() {
        let (column, cell) = cell?;
        let text = match cell {
            Cell::Null => "NULL".to_owned(),
            Cell::Int(number) => number.to_string(),
            Cell::Bytes(bytes) => value(&String::from_utf8_lossy(bytes)),
            other => panic!("{other:?}"),
        };
        write!(line, "@{}={text}|", column + 1).unwrap();
    }
    Ok(())
}

#[tokio::test]
async fn a_process_that_follows() {
    let (Ok(address), Ok(path)) = (std::env::var(ADDRESS), std::env::var(JOURNAL)) else { return };
    let path = Path::new(&path);
    let kept = Journal::place_in(path);
    let mut file = std::fs::File::options().append(true).open(path).unwrap();
    let is_mariadb = std::env::var(PRODUCT).unwrap() == "mariadb";
    let progress = kept.as_ref().map(|(number, base)| resume(is_mariadb, base.as_bytes(), *number).unwrap());
    let mut last = kept.map(|(number, base)| format!("P {number} {base}\n"));
    if let Some(place) = &last {
        // Behind it comes what follows that place, whatever stands before it.
        file.write_all(format!("F{}", &place[1..]).as_bytes()).unwrap();
    }
    let mut source = Source::new(address.parse().unwrap(), progress, Lines);
    loop {
        let events = match source.next().await {
            Ok(events) => events,
            Err(error) => {
                file.write_all(format!("! {error:?}\n").as_bytes()).unwrap();
                return;
            }
        };
        let mut lines = String::new();
        for event in events {
            let place = match event {
                Event::Begin { place, .. } | Event::Current { place, .. } => Some(place),
                Event::Commit { place, more, rows, .. } => {
                    rows.iter().for_each(|row| writeln!(lines, "R {row}").unwrap());
                    (!more).then_some(place)
                }
                Event::Rewritten { place, more, .. } => {
                    lines.push_str("A\n");
                    (!more).then_some(place)
                }
            };
            if let Some(place) = place.map(|place| placed(&place)).filter(|place| last.as_ref() != Some(place)) {
                lines.push_str(&place);
                last = Some(place);
            }
        }
        // What was derived, and the place behind it: both or, if the process dies in between, a line that is not whole.
        file.write_all(lines.as_bytes()).unwrap();
    }
}

fn placed(place: &Place) -> String {
    let number = match place.commit {
        Some(rowkeep_binlog::Gtid::MySql(gtid)) => gtid.number,
        Some(rowkeep_binlog::Gtid::MariaDb(gtid)) => gtid.number,
        None => 0,
    };
    format!("P {number} {}\n", String::from_utf8_lossy(&place.base))
}
