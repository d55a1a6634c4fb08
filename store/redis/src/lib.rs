//! The [cache that processes share](rowkeep_cache::remote) on Redis, or Valkey: one server, Sentinel or Cluster.
//!
//! ## What is kept
//! Keys begin with `rowkeep:NAMESPACE/SHARDS{SHARD}`, which is a shard's horizon; a slot's key goes on with its entity and
//! name (`keys`). The braces make a shard one hash slot of a cluster, so that its horizon and slots are served, lost and moved
//! together. The number of shards is in the key: processes that divide names otherwise do not share. Horizons stay until
//! somebody drops them; slots have times. Each value is checked when it is read (`values`).
//!
//! ## Steps
//! A look-up is one `MGET` of the horizon and the slots. What changes something is a script (`scripts`), which the server runs
//! as one step. A script is sent by its digest, and whole where a server does not know it yet.
//!
//! ## Connections
//! A thread that reads much has a connection to each server, which its requests share without waiting for each other; all
//! others share one, and what is told has another (`lane`). A connection that breaks, or on which an answer does not come in
//! time, is given up at once. Until there is another one, which is tried for beside the requests, all requests fail without
//! waiting (`link`). Where each shard is served is found out beside the requests, too (`topology`).
//!
//! Only primaries are asked. That an answer is of a server whose state is older than what was told, the horizon says.
//!
//! ## What the server must allow
//! Redis 6.0 or newer, or Valkey. A user with rights of its own needs the keys `rowkeep:*` and these commands, of which
//! `SELECT` is for addresses that name a database, `ASKING` and `CLUSTER SLOTS` for clusters, and `ROLE` for all others:
//!
//! ```text
//! ACL SETUSER rowkeep on >PASSWORD ~rowkeep:* -@all +mget +set +unlink +eval +evalsha +ping
//!     +info +role +select +asking +cluster|slots
//! ```
//!
//! Of Sentinels, `PING` and `SENTINEL MASTER` are asked, and `INFO`, which they may refuse.
//!
//! Without `INFO` it is not known that the server is of version 7 or newer, which can be told though it has no memory left.
//!
//! The server should have a limit of memory and drop what is used least: `maxmemory` and `maxmemory-policy volatile-lru`, or
//! `allkeys-lru`. With `noeviction` a full server takes no entries any more, and one of before version 7 cannot be told either,
//! which turns the cache off.
//!
//! ## Not here
//! The library's own client of a cluster: it sends `ASKING` apart from the command that it is for, and lets every request
//! wait while it asks servers, one after the other, where hash slots are. All keys of a request lie in one of them here, so that
//! little is left to do.

mod address;
mod client;
mod failure;
mod info;
mod keys;
mod lane;
mod link;
mod options;
mod scripts;
mod steps;
mod tls;
mod topology;
mod values;

pub use address::{Address, Deployment, Host, Login, Tls};
pub use client::{RedisRemote, RedisStats};
pub use options::RedisOptions;
