//! Names of tables on servers that do not tell upper case from lower.

use std::collections::BTreeMap;

use kit_core::Error;
use rowkeep_mysql::{Address, Connection};
use rowkeep_schema::Schema;

use super::{refused, settings};

/// With `lower_case_table_names` = 1 a server keeps names in lower case: a table that the schema names otherwise would
/// be missing at each start. With 2 it keeps them as they were given and compares them in lower case.
pub(in crate::mysql) async fn check_tables(
    control: &mut Connection,
    address: &Address,
    schema: &Schema,
) -> Result<(), Error> {
    let found = settings(control, &["lower_case_table_names"]).await?;
    let kept = found.get("lower_case_table_names").map_or("0", String::as_str);
    if kept == "0" {
        return Ok(());
    }
    let tables: Vec<(&str, &str)> =
        schema.entities.iter().map(|entity| (entity.full_name.as_str(), entity.table.as_str())).collect();
    let mistakes = mistakes(&tables, kept == "1");
    if mistakes.is_empty() {
        return Ok(());
    }
    let what = format!(
        "the server has lower_case_table_names = {kept}, which cannot be changed once it has data: {}",
        mistakes.join("; ")
    );
    Err(refused(address, "TABLE_NAMES_LOWER_CASE", &what))
}

/// Entities with their tables that do not fit, with what to do.
fn mistakes(tables: &[(&str, &str)], lowers: bool) -> Vec<String> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut mistakes = Vec::new();
    for (entity, table) in tables {
        let lower = table.to_lowercase();
        if let Some(other) = seen.insert(lower.clone(), table) {
            mistakes.push(format!("{other} and {table} are one table there; give {entity} another `table`"));
        } else if lowers && lower != **table {
            mistakes.push(format!("{entity} cannot have the table {table}; give it `table: \"{lower}\"`"));
        }
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::mistakes;

    #[test]
    fn upper_case_matters_where_names_are_kept_in_lower_case() {
        let tables = [("shop.User", "users"), ("shop.Item", "OrderItems")];
        assert_eq!(mistakes(&tables, false), [""; 0]);
        assert_eq!(
            mistakes(&tables, true),
            ["shop.Item cannot have the table OrderItems; give it `table: \"orderitems\"`"]
        );
    }

    #[test]
    fn two_names_that_differ_in_case_are_one_table() {
        let tables = [("shop.A", "users"), ("shop.B", "Users")];
        let wanted = ["users and Users are one table there; give shop.B another `table`"];
        assert_eq!(mistakes(&tables, false), wanted);
        assert_eq!(mistakes(&tables, true), wanted);
    }
}
