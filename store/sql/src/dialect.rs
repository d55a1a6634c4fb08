//! What differs between SQL databases in the texts that are built here.

/// The database a text is for. Every `match` on it is a place where databases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    MySql,
    MariaDb,
    /// MySQL behind Vitess's gateway, which reads every statement itself and sends it where it belongs.
    Vitess,
}

impl Dialect {
    /// Appends a quoted name. Names come from the checked schema or the catalogue, and are quoted all the same.
    pub(crate) fn push_name(self, sql: &mut String, name: &str) {
        let quote = match self {
            Self::Sqlite => '"',
            Self::MySql | Self::MariaDb | Self::Vitess => '`',
        };
        sql.push(quote);
        for character in name.chars() {
            if character == quote {
                sql.push(quote);
            }
            sql.push(character);
        }
        sql.push(quote);
    }

    /// A quoted name.
    pub(crate) fn name(self, name: &str) -> String {
        let mut sql = String::with_capacity(name.len() + 2);
        self.push_name(&mut sql, name);
        sql
    }

    /// What stands before and between the sides of an inequality that is true for NULL and a value, and never NULL itself.
    pub(crate) const fn null_safe_differs(self) -> (&'static str, &'static str) {
        match self {
            Self::Sqlite => ("", " IS NOT "),
            Self::MySql | Self::MariaDb | Self::Vitess => ("NOT ", " <=> "),
        }
    }

    /// Whether `(a, b) > (?, ?)` is read along an index. MySQL and MariaDB understand it and look at every row.
    pub(crate) const fn compares_rows(self) -> bool {
        matches!(self, Self::Sqlite)
    }

    /// Whether columns may compare texts each in its own way.
    pub(crate) const fn has_collations(self) -> bool {
        matches!(self, Self::MySql | Self::MariaDb | Self::Vitess)
    }

    /// Whether tables and values are MySQL's.
    pub(crate) const fn is_mysql(self) -> bool {
        matches!(self, Self::MySql | Self::Vitess)
    }

    /// Whether an address leads to a gateway: it finds the servers by itself, and what is asked of one server (whether it is
    /// read-only, how far it is, to end a query) is answered by any of them or not at all. Its own connections to them break
    /// without ours breaking.
    pub(crate) const fn is_gateway(self) -> bool {
        matches!(self, Self::Vitess)
    }

    /// Whether a `FLOAT` comes back as it was stored. Behind a gateway it is read as a text of six digits.
    pub(crate) const fn keeps_floats(self) -> bool {
        !matches!(self, Self::Vitess)
    }

    /// As operators know it.
    pub(crate) const fn product(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
            Self::Vitess => "vitess",
        }
    }

    /// Begins a read. A gateway answers who asks what somebody else is asking already with the answer to the other, which may
    /// have been read before what the later one was told of, unless it is told not to.
    pub(crate) const fn select(self) -> &'static str {
        match self {
            Self::Sqlite | Self::MySql | Self::MariaDb => "SELECT ",
            Self::Vitess => "SELECT /*vt+ CONSOLIDATOR=disabled */ ",
        }
    }

    /// Behind a read whose rows are locked until the transaction ends. SQLite's one writer needs no locks.
    pub(crate) const fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql | Self::MariaDb | Self::Vitess => " FOR UPDATE",
        }
    }

    /// The same, shared with others who only want the rows to stay as they are.
    pub(crate) const fn in_share_mode(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::MySql | Self::MariaDb | Self::Vitess => " LOCK IN SHARE MODE",
        }
    }
}

/// Names in a list: `"a", "b"`.
pub(crate) fn push_names<'a>(dialect: Dialect, sql: &mut String, names: impl IntoIterator<Item = &'a str>) {
    for (at, name) in names.into_iter().enumerate() {
        if at > 0 {
            sql.push_str(", ");
        }
        dialect.push_name(sql, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_inside_a_name_cannot_end_it() {
        assert_eq!(Dialect::Sqlite.name(r#"a"; DROP TABLE users; --"#), r#""a""; DROP TABLE users; --""#);
        assert_eq!(Dialect::MySql.name("a`; DROP TABLE users; -- "), "`a``; DROP TABLE users; -- `");
    }
}
