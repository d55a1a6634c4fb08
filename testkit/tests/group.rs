//! MySQL Group Replication, as the tests of failover use it.

use testkit::{DatabaseServer, Group, wait_until};

fn write(group: &Group, id: u32) {
    group.server(group.primary()).admin(&format!("INSERT INTO test.kept VALUES ({id})"));
}

fn rows(server: &DatabaseServer) -> String {
    server.admin("SELECT COALESCE(GROUP_CONCAT(id ORDER BY id), '') FROM test.kept")
}

fn begin() -> Group {
    let group = Group::start();
    group.server(group.primary()).admin("CREATE TABLE test.kept (id INT PRIMARY KEY)");
    write(&group, 1);
    group
}

fn all_have(group: &Group, expected: &str) {
    group.catch_up();
    for number in group.members() {
        assert_eq!(rows(group.server(number)), expected);
    }
}

#[test]
fn three_members_form_a_group_and_hand_over() {
    let group = begin();
    assert_eq!((group.primary(), group.secondaries()), (0, vec![1, 2]));
    assert_eq!(group.online(2), 3);
    group.switch_to(2);
    write(&group, 2);
    assert_eq!(group.server(0).admin("SELECT @@super_read_only"), "1");
    assert_eq!(group.url(), group.server(2).url());
    all_have(&group, "1,2");
}

#[test]
#[ignore = "two elections and a return take half a minute"]
fn a_group_outlives_its_primaries_and_takes_them_back() {
    let group = begin();
    group.kill9(0);
    let second = group.primary();
    assert_ne!(second, 0, "another was elected");
    write(&group, 2);
    group.restart(0);
    assert_eq!((group.primary(), group.online(0)), (second, 3), "who comes back follows");
    assert_eq!(group.server(0).admin("SELECT @@super_read_only"), "1");
    all_have(&group, "1,2");

    group.server(second).suspend();
    let third = group.primary();
    assert_ne!(third, second, "who does not answer does not lead");
    write(&group, 3);
    group.server(second).resume();
    wait_until("the expelled member to come back by itself", || group.online(third) == 3);
    all_have(&group, "1,2,3");
}
