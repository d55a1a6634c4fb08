//! Asks Sentinels which server is the primary.

use std::sync::Arc;

use redis::Value;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{PATIENCE, Topology};
use crate::address::Host;
use crate::info::text;
use crate::link::{Link, Request, Way};

/// The Sentinels.
pub(super) struct Finder {
    sentinels: Vec<Arc<Link>>,
    service: Arc<str>,
}

/// What a Sentinel says.
struct Said {
    /// Grows with each primary. A Sentinel that is cut off from the others knows an older one.
    epoch: u64,
    primary: Host,
}

impl Finder {
    pub(super) fn new(sentinels: &[Host], service: &str, way: Way, runtime: &Handle) -> Self {
        let way = Arc::new(Way { is_told_of: false, ..way });
        let link = |host: &Host| Arc::new(Link::new(host.clone(), Arc::clone(&way), runtime, Arc::default()));
        Self { sentinels: sentinels.iter().map(link).collect(), service: service.into() }
    }

    pub(super) async fn run(self, topology: Arc<Topology>) {
        loop {
            let found = self.ask().await;
            let is_known = found.is_ok();
            match found {
                Ok(primary) => topology.are_all_at(&primary),
                Err(problem) => topology.is_unknown(problem),
            }
            topology.pause(is_known).await;
        }
    }

    /// All are asked at once, and the one that knows of the latest change is believed.
    async fn ask(&self) -> Result<Host, String> {
        let mut asked = JoinSet::new();
        for sentinel in &self.sentinels {
            let (sentinel, service) = (Arc::clone(sentinel), Arc::clone(&self.service));
            asked.spawn(async move {
                let mut command = redis::cmd("SENTINEL");
                command.arg("MASTER").arg(&*service);
                let answer = sentinel.ask(&Request::Command(command), PATIENCE, false).await;
                let answer = answer.map_err(|problem| rowkeep_cache::remote::Failed::from(problem).to_string())?;
                said(&answer).ok_or_else(|| format!("a Sentinel does not say where {service:?} is"))
            });
        }
        let answers = asked.join_all().await;
        let mut problem = "there are no Sentinels".to_owned();
        let mut latest: Option<Said> = None;
        for answer in answers {
            match answer {
                Ok(said) if latest.as_ref().is_none_or(|known| known.epoch < said.epoch) => latest = Some(said),
                Ok(_) => {}
                Err(why) => problem = why,
            }
        }
        latest.map(|said| said.primary).ok_or(problem)
    }
}

fn said(answer: &Value) -> Option<Said> {
    let Value::Array(fields) = answer else { return None };
    let field = |name: &str| {
        let pair = fields.chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some(name))?;
        text(&pair[1])
    };
    let primary = Host { name: field("ip")?, port: field("port")?.parse().ok()? };
    Some(Said { epoch: field("config-epoch")?.parse().ok()?, primary })
}
