//! MySQL in a folder of its own, which `testkit::database::mysql` starts it from: Debian's unstable release, the only one
//! that has it.

use testkit::database::mysql::{ROOT_VARIABLE, TEMPLATE, initialize, is_installed, root};

use super::{debian, folder};
use crate::Result;

const RELEASE: &str = "sid";
const PACKAGES: &str = "mysql-server-core,mysql-client-core";

/// Makes the folder unless it is there.
pub(super) fn install() -> Result<()> {
    let root = root();
    if is_installed(&root) {
        return Ok(());
    }
    if std::env::var_os(ROOT_VARIABLE).is_some() {
        return Err(format!("{ROOT_VARIABLE} names {}, which has no usr/sbin/mysqld", root.display()));
    }
    if !super::may_install() {
        return Err(format!(
            "MySQL is missing: run `cargo xtask setup` as root on Debian, or set {ROOT_VARIABLE} to a root that has it"
        ));
    }
    folder::once(&root, "mysql.lock", "MySQL", |new| {
        debian::make(RELEASE, PACKAGES, new)?;
        initialize(new, &new.join(TEMPLATE), &[])
    })?;
    if is_installed(&root) {
        Ok(())
    } else {
        Err(format!("{} has no MySQL; remove it to have it there", root.display()))
    }
}
