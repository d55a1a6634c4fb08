//! Vitess, as the tests of the store use it.

use testkit::Vitess;

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn a_gateway_serves_keyspaces_of_one_shard_and_of_two() {
    let vitess = Vitess::start(1, 1);
    assert!(vitess.url_of("test_1").ends_with(&format!("{}/test_1", vitess.port())));
    let databases = vitess.server().admin("SHOW DATABASES LIKE 'vt\\_test%'");
    assert_eq!(databases, "vt_test_1_0\nvt_test_sharded_1_-80\nvt_test_sharded_1_80-");
}
