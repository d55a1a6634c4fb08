//! The caches before a storage: one in the process, one that processes share, or the one before the other.

use std::sync::Arc;

use kit_core::Error;
use rowkeep_cache::{CacheOptions, Cached, Tier, TierOptions, namespace};
use rowkeep_engine::Rows;
use rowkeep_record::Codecs;
use rowkeep_redis::{Address, RedisOptions, RedisRemote};
use rowkeep_schema::Schema;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::keys::Secret;

/// What caches there are to be.
#[derive(Debug, Clone)]
pub struct Caching {
    /// In this process.
    pub near: Option<CacheOptions>,
    /// On a server that other processes use as well.
    pub shared: Option<(Address, TierOptions)>,
}

/// The caches of an open storage.
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) near: Option<Arc<Cached>>,
    pub(crate) shared: Option<SharedCache>,
}

/// One that processes share.
pub(crate) struct SharedCache {
    pub(crate) tier: Arc<Tier>,
    pub(crate) remote: Arc<RedisRemote>,
    /// Who follows the log where no cache in the process does.
    follower: Option<JoinHandle<()>>,
}

impl Caches {
    /// Puts caches before rows. `secret`: of the database, by which its entries are told from those of others.
    pub(crate) fn start(
        schema: &Schema,
        mut rows: Arc<dyn Rows>,
        secret: &Secret,
        caching: Caching,
    ) -> Result<(Arc<dyn Rows>, Self), Error> {
        let (runtime, codecs) = (Handle::try_current().map_err(Error::internal)?, Codecs::new(schema));
        let mut caches = Self::default();
        let Caching { near, shared } = caching;
        let log = match shared {
            None => None,
            Some((address, options)) => {
                tracing::info!(server = %address, "rows are kept in a cache that is shared");
                let namespace = namespace(schema, secret.number("shared cache"));
                let remote = RedisRemote::start(&address, &namespace, RedisOptions::default(), &runtime);
                let tier = Tier::start(rows, Arc::clone(&remote) as _, schema, &codecs, options, &runtime)?;
                let follower = near.is_none().then(|| runtime.spawn(Arc::clone(&tier).follow()));
                rows = Arc::clone(&tier) as _;
                let log = tier.log();
                caches.shared = Some(SharedCache { tier, remote, follower });
                Some(log)
            }
        };
        if let Some(options) = near {
            let cached = match log {
                Some(log) => Cached::follow(rows, log, schema, &codecs, options, &runtime),
                None => Cached::start(rows, schema, &codecs, options, &runtime)?,
            };
            rows = Arc::clone(&cached) as _;
            caches.near = Some(cached);
        }
        Ok((rows, caches))
    }

    /// Stops to follow the log.
    pub(crate) fn stop(&self) {
        if let Some(near) = &self.near {
            near.stop();
        }
        if let Some(shared) = &self.shared {
            shared.follower.as_ref().inspect(|follower| follower.abort());
            shared.tier.stop();
        }
    }
}
