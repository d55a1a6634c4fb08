//! The conformance suite of cache servers on the one in memory.

use std::sync::Arc;

use rowkeep_cache::remote::conformance::Stage;
use rowkeep_cache::remote::{MemoryRemote, Remote};

fn of(shards: usize) -> Stage {
    let server = Arc::new(MemoryRemote::new(shards));
    Stage::new(|| std::future::ready(Arc::clone(&server) as Arc<dyn Remote>), ())
}

mod one_shard {
    fn start() -> rowkeep_cache::remote::conformance::Stage {
        crate::of(1)
    }
    rowkeep_cache::remote_conformance!(super::start);
}

mod many_shards {
    fn start() -> rowkeep_cache::remote::conformance::Stage {
        crate::of(5)
    }
    rowkeep_cache::remote_conformance!(super::start);
}
