//! What `SHOW GRANTS` tells of the user.
//!
//! It does not tell everything that counts: rights of a user of the same name from other hosts apply, too, and of several
//! names with wildcards that fit a database only the closest does. So who wants to know what a user may do asks the server
//! by trying ([`grants`](super::grants)); this only finds words for what to change.

use rowkeep_mysql::Connection;

/// Grants, one by one.
pub(super) struct Shown {
    /// `` `app`@`10.%` ``.
    user: String,
    grants: Vec<Grant>,
    /// Roles that are granted and not active.
    idle_roles: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Grant {
    /// `REVOKE`: taken from what is granted everywhere.
    taken: bool,
    rights: Vec<String>,
    /// The database as it is written, which may be a pattern; `*` is every one.
    database: String,
    /// All tables of the database.
    whole: bool,
}

impl Shown {
    /// Asks. `None` where the server does not answer, as something that only stands before servers may.
    pub(super) async fn read(control: &mut Connection) -> Option<Self> {
        let user = control.query("SELECT CURRENT_USER(), CURRENT_ROLE()").await.ok()?;
        // Not `FOR CURRENT_USER`: MariaDB then leaves out what roles give.
        let lines = control.query("SHOW GRANTS").await.ok()?;
        let mut who = user.into_iter().next()?.into_iter();
        let user = quoted(&who.next()??);
        let role = who.next().flatten().filter(|role| role != "NONE");
        let lines: Vec<String> = lines.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
        Some(Self::of(user, role.is_some(), &lines))
    }

    fn of(user: String, in_role: bool, lines: &[String]) -> Self {
        let roles = lines.iter().filter_map(|line| role(line));
        let idle_roles = if in_role { Vec::new() } else { roles.collect() };
        Self { user, grants: lines.iter().filter_map(|line| grant(line)).collect(), idle_roles }
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn idle_roles(&self) -> &[String] {
        &self.idle_roles
    }

    /// Whether a right is given for the whole server.
    pub(super) fn globally(&self, right: &str) -> bool {
        self.grants.iter().any(|grant| grant.database == "*" && !grant.taken && grant.gives(right))
    }

    /// How a database is written in a grant to this user: as in one that there is, because a second spelling would hide
    /// the first; else so that it is no pattern.
    pub(super) fn spelling(&self, database: &str) -> String {
        let is_there = self.grants.iter().any(|grant| grant.database == database && grant.whole && !grant.taken);
        if is_there { database.to_owned() } else { database.replace('_', "\\_").replace('%', "\\%") }
    }

    /// Whether a right is given for the database in this spelling, or for the whole server and not taken from it.
    pub(super) fn gives(&self, right: &str, spelling: &str) -> bool {
        let is_taken = self.grants.iter().any(|grant| grant.taken && grant.gives(right));
        let here = |grant: &Grant| !grant.taken && grant.whole && grant.database == spelling && grant.gives(right);
        self.grants.iter().any(here) || (self.globally(right) && !is_taken)
    }
}

impl Grant {
    fn gives(&self, right: &str) -> bool {
        self.rights.iter().any(|given| given == right || given == "ALL PRIVILEGES" || given == "ALL")
    }
}

/// `` GRANT SELECT, INSERT (`a`) ON `shop`.* TO ... ``, or `REVOKE ... FROM`.
fn grant(line: &str) -> Option<Grant> {
    let (taken, rest) = match line.strip_prefix("GRANT ") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("REVOKE ")?),
    };
    let (rights, rest) = split_outside_quotes(rest, " ON ")?;
    let rest = rest.strip_prefix("TABLE ").unwrap_or(rest);
    let (scope, _) = split_outside_quotes(rest, if taken { " FROM " } else { " TO " })?;
    // Of routines and the like, and of users (PROXY), there is nothing to know.
    let (database, table) = split_outside_quotes(scope, ".")?;
    // A right on columns is not one on the table.
    let rights = commas(rights).into_iter().filter(|right| !right.contains('(')).map(str::to_owned);
    Some(Grant { taken, rights: rights.collect(), database: unquoted(database), whole: table == "*" })
}

/// `` GRANT `role` TO ... ``
fn role(line: &str) -> Option<String> {
    let (role, _) = split_outside_quotes(line.strip_prefix("GRANT ")?, " TO ")?;
    (role.starts_with('`') && split_outside_quotes(role, " ON ").is_none()).then(|| role.to_owned())
}

fn commas(rights: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let parts = rights.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).collect()
}

/// Splits where the separator is not within backquotes.
fn split_outside_quotes<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '`';
        let rest = text[at..].strip_prefix(separator).filter(|_| !quoted)?;
        Some((&text[..at], rest))
    })
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) {
        Some(name) => name.replace("``", "`"),
        None => name.to_owned(),
    }
}

pub(super) fn quoted_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// `app@10.%` as statements spell it.
fn quoted(user: &str) -> String {
    match user.rsplit_once('@') {
        Some((name, host)) => format!("{}@{}", quoted_name(name), quoted_name(host)),
        None => quoted_name(user),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[&str]) -> Shown {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        Shown::of("`app`@`%`".to_owned(), false, &lines)
    }

    #[test]
    fn rights_are_read_with_their_place() {
        let read = grant("GRANT SELECT (`a`, `b`), INSERT, SHOW VIEW ON `sh``op`.`a ON b` TO `app`@`%`").unwrap();
        let wanted = Grant {
            taken: false,
            rights: vec!["INSERT".to_owned(), "SHOW VIEW".to_owned()],
            database: "sh`op".to_owned(),
            whole: false,
        };
        assert_eq!(read, wanted);
        assert_eq!(grant("GRANT PROXY ON ``@`%` TO `root`@`localhost` WITH GRANT OPTION"), None);
        assert_eq!(grant("SET DEFAULT ROLE `r1` FOR `a`@`127.0.0.1`"), None);
    }

    #[test]
    fn all_privileges_of_the_server_are_every_right() {
        let shown = shown(&["GRANT ALL PRIVILEGES ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*D8' WITH GRANT OPTION"]);
        assert!(shown.globally("READ_ONLY ADMIN") && shown.gives("DROP", "shop"));
    }

    #[test]
    fn what_is_taken_from_the_whole_is_not_given() {
        let shown = shown(&["GRANT SELECT, INSERT ON *.* TO `app`@`%`", "REVOKE INSERT ON `shop`.* FROM `app`@`%`"]);
        assert!(shown.gives("SELECT", "shop") && !shown.gives("INSERT", "shop"));
    }

    #[test]
    fn a_database_is_spelled_as_it_is_already() {
        let spelled = |line: &str| shown(&[line]).spelling("my_shop");
        assert_eq!(spelled("GRANT SELECT ON `my_shop`.* TO `app`@`%`"), "my_shop");
        assert_eq!(spelled(r"GRANT SELECT ON `my\_shop`.* TO `app`@`%`"), r"my\_shop");
        assert_eq!(spelled("GRANT SELECT ON `my%`.* TO `app`@`%`"), r"my\_shop");
        assert_eq!(spelled("GRANT SELECT ON `my_shop`.`t` TO `app`@`%`"), r"my\_shop");
    }

    #[test]
    fn roles_that_are_not_active_are_told_from_rights() {
        let lines = ["GRANT `r1`@`%`,`r2`@`%` TO `app`@`%`", "GRANT USAGE ON *.* TO `app`@`%`"];
        assert_eq!(shown(&lines).idle_roles(), ["`r1`@`%`,`r2`@`%`"]);
        let lines = lines.map(str::to_owned);
        assert_eq!(Shown::of("`app`@`%`".to_owned(), true, &lines).idle_roles(), [""; 0]);
    }

    #[test]
    fn a_user_is_spelled_as_in_statements() {
        assert_eq!(quoted("a@b@10.%"), "`a@b`@`10.%`");
    }
}
