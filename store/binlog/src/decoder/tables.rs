//! The tables that rows are of, by the numbers that the log gives them.

use std::collections::HashMap;

use crate::{
    Error, Table,
    table::{read_table, table_number},
};

/// With more than these all are forgotten at the next description: a server with tables without end numbers them anew.
/// Rows are of tables that were described shortly before them.
const MOST: usize = 4096;
/// One statement describes all its tables first.
const AT_ONCE: usize = 64;

#[derive(Debug)]
struct Described {
    body: Vec<u8>,
    table: Table,
    /// Which description it was.
    count: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tables {
    tables: HashMap<u64, Described>,
    count: u64,
    mariadb: bool,
}

impl Tables {
    /// Whose descriptions follow: the products count columns differently.
    pub(super) fn are_of_mariadb(&mut self, mariadb: bool) {
        if self.mariadb != mariadb {
            self.tables.clear();
        }
        self.mariadb = mariadb;
    }

    /// Reads a TABLE_MAP, unless it is the one of last time.
    pub(super) fn describe(&mut self, body: &[u8]) -> Result<(), Error> {
        let number = table_number(body)?;
        self.count += 1;
        if let Some(described) = self.tables.get_mut(&number)
            && described.body == body
        {
            described.count = self.count;
            return Ok(());
        }
        if self.tables.len() >= MOST {
            let recent = self.count.saturating_sub(AT_ONCE as u64);
            self.tables.retain(|_, described| described.count > recent);
        }
        let described = Described { body: body.to_vec(), table: read_table(body, self.mariadb)?, count: self.count };
        self.tables.insert(number, described);
        Ok(())
    }

    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<&Table> {
        self.tables.get(&number).map(|described| &described.table)
    }

    pub(super) fn clear(&mut self) {
        self.tables.clear();
    }
}
