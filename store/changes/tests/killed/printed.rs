//! What the server's own tool prints of its log, as rows in the order of commits.

use std::collections::HashMap;

use testkit::DatabaseServer;

use crate::follower::value;

/// A row that was committed.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) row: String,
    /// By which decision, if its transaction was prepared first.
    pub(crate) xa: Option<usize>,
}

/// What is read of a transaction.
#[derive(Default)]
struct Reader {
    committed: Vec<Printed>,
    open: Vec<String>,
    prepared: HashMap<String, Vec<String>>,
    decisions: usize,
    /// The row whose columns follow.
    row: Option<String>,
}

/// Every row of the tables that are written, in the order of commits.
pub(crate) fn commits(server: &DatabaseServer) -> Vec<Printed> {
    let mut reader = Reader::default();
    server.print_log(&["--base64-output=DECODE-ROWS", "-vv"], |line| reader.line(line));
    reader.committed
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(row) = line.strip_prefix("### ") {
            return self.row_line(row);
        }
        self.end_row();
        let statement = line.trim_end_matches(';').trim_end_matches("/*!*/").trim();
        match statement {
            "BEGIN" | "START TRANSACTION" => self.open.clear(),
            "COMMIT" => self.commit(None),
            "ROLLBACK" => self.open.clear(),
            _ => self.xa(statement),
        }
    }

    fn xa(&mut self, statement: &str) {
        let Some((word, id)) = statement.strip_prefix("XA ").and_then(|rest| rest.split_once(' ')) else { return };
        match word {
            "START" => self.open.clear(),
            "PREPARE" => drop(self.prepared.insert(id.to_owned(), std::mem::take(&mut self.open))),
            "COMMIT" if id.ends_with("ONE PHASE") => self.commit(None),
            "COMMIT" => {
                self.open = self.prepared.remove(id).unwrap_or_default();
                self.decisions += 1;
                self.commit(Some(self.decisions));
            }
            "ROLLBACK" => drop(self.prepared.remove(id)),
            _ => {}
        }
    }

    fn commit(&mut self, xa: Option<usize>) {
        self.committed.extend(self.open.drain(..).map(|row| Printed { row, xa }));
    }

    fn row_line(&mut self, line: &str) {
        if let Some(column) = line.strip_prefix("  @") {
            let Some(row) = &mut self.row else { return };
            let (number, rest) = column.split_once('=').unwrap();
            let shown = rest.rsplit_once(" /*").map_or(rest, |(shown, _)| shown);
            let text = shown.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(shown);
            row.push_str(&format!("@{number}={}|", value(text)));
        } else if matches!(line, "SET" | "WHERE") {
            if let Some(row) = &mut self.row {
                row.push_str(&format!(" {line} "));
            }
        } else {
            self.end_row();
            let (change, table) = line.split_once('`').unwrap_or_default();
            let name = table.strip_prefix("test`.`").and_then(|name| name.strip_suffix('`'));
            let change = change.split(' ').next().unwrap_or_default();
            self.row = name.filter(|name| name.starts_with('w')).map(|name| format!("{change} {name}"));
        }
    }

    fn end_row(&mut self) {
        self.open.extend(self.row.take());
    }
}
