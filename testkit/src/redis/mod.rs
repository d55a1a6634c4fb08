//! Redis, as the distribution installs it: one server, servers with Sentinels, and a cluster.

mod answer;
mod cluster;
mod sentinels;
mod server;

pub use answer::Answer;
pub use cluster::RedisCluster;
pub use sentinels::RedisSentinels;
pub use server::Redis;
