//! What goes wrong while rows are read and written, the same for every service.

use std::{
    sync::atomic::Ordering,
    thread::sleep,
    time::{Duration, Instant},
};

use testkit::FaultProxy;

use super::workload::Workload;
use crate::server::Server;

/// Between two faults.
const CALM: Duration = Duration::from_millis(700);
/// How long one lasts.
const FAULT: Duration = Duration::from_millis(400);

/// What stands between an instance and what it needs.
pub(crate) struct Instance {
    pub(crate) server: Server,
    /// To the database.
    pub(crate) database: FaultProxy,
    /// To Redis, if it uses one.
    pub(crate) cache: Option<FaultProxy>,
}

/// One after the other, for this long: an instance is cut off from its cache; waits longer for the database; is cut off from
/// it; stands still. Then stops the workload.
pub(crate) fn run(instances: &[Instance], workload: &Workload, length: Duration) {
    let started = Instant::now();
    for (number, instance) in instances.iter().cycle().enumerate() {
        if started.elapsed() >= length {
            break;
        }
        sleep(CALM);
        match number / instances.len() % 4 {
            0 => fault(instance.cache.as_ref(), FaultProxy::cut),
            1 => fault(Some(&instance.database), |proxy| proxy.delay(Duration::from_millis(20))),
            2 => fault(Some(&instance.database), FaultProxy::cut),
            _ => {
                instance.server.suspend();
                sleep(FAULT);
                instance.server.resume();
            }
        }
    }
    workload.stopped.store(true, Ordering::Release);
}

fn fault(proxy: Option<&FaultProxy>, break_it: impl FnOnce(&FaultProxy)) {
    let Some(proxy) = proxy else { return sleep(FAULT) };
    break_it(proxy);
    sleep(FAULT);
    proxy.heal();
}
