//! Lets a store's user follow the log of a server.

use testkit::{DatabaseServer, Product};

/// Whichever server is the primary. A replica takes no grants without being made to.
pub fn allow(server: &DatabaseServer, user: &str) {
    let is_mysql = server.product() == Product::MySql;
    let was = server.admin("SELECT @@global.read_only");
    let set = |on: &str| match is_mysql {
        true if on == "OFF" => server.admin("SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF"),
        true => server.admin("SET GLOBAL super_read_only = ON"),
        false => server.admin(&format!("SET GLOBAL read_only = {on}")),
    };
    set("OFF");
    server.admin(&format!("SET sql_log_bin = 0; GRANT REPLICATION SLAVE ON *.* TO {user}@'127.0.0.1'"));
    if was == "1" {
        set("ON");
    }
}
