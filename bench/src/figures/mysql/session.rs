//! What `session` costs beside `eventual`: the same Get of the same server over a primary and a replica that has all.

use testkit::{Cluster, DatabaseServer, Product};

use super::{ROWS, call, compare, count, fill};
use crate::{
    Result,
    host::{self, LOAD_CORE},
    items,
    results::Line,
    server::Server,
};

const REQUESTS: u64 = 200_000;

pub(crate) fn run() -> Result<Vec<Line>> {
    let cluster = Cluster::start(Product::MariaDb, 1);
    let (primary, replica) = (cluster.server(0), cluster.server(1));
    for server in [primary, replica] {
        host::pin(server.id(), LOAD_CORE)?;
    }
    fill(&cluster.url(), ROWS)?;
    let server = Server::rowkeep_with_replica(&primary.url(), &replica.url())?;
    // The token of a write, so that the replica must have been found to contain it.
    let token = token_of_create(&server)?;
    cluster.catch_up();
    let get = || call(&server, "GetItem", &[0x08, 42]).requests(REQUESTS);
    let eventual = get().header("rowkeep-consistency", "eventual");
    let session = get().header("rowkeep-consistency", "session").header("rowkeep-session", &token);
    let before = [statements(primary)?, statements(replica)?];
    let [session, eventual] = compare(&[(&server, session), (&server, eventual)])?[..] else { return Err(count()) };
    let [by_primary, by_replica] = [statements(primary)? - before[0], statements(replica)? - before[1]];
    // The primary is asked for its position all the time, but must not read for sessions that the replica can serve.
    if by_primary * 5 > by_replica {
        return Err(format!("the primary was sent {by_primary} statements, the replica only {by_replica}"));
    }
    let more = session.cpu / eventual.cpu - 1.0;
    Ok(vec![Line {
        figure: "MariaDB with a replica, gRPC Get by id: session beside eventual",
        value: format!("{:.2} us session", session.cpu),
        beside: format!("{:.2} us eventual", eventual.cpu),
        ratio: format!("{:+.0} %", more * 100.0),
        bar: "<= 15 %",
        met: more <= 0.15,
    }])
}

fn token_of_create(server: &Server) -> Result<String> {
    let created = testkit::http::json("POST", &format!("{}/v1/items", server.url), &items::json(7));
    let token = created.header("rowkeep-session").filter(|_| created.status == 201);
    token.map(str::to_owned).ok_or_else(|| format!("a create gives no session: {} {}", created.status, created.text()))
}

/// Statements that the server was sent so far.
fn statements(server: &DatabaseServer) -> Result<u64> {
    let status = server.admin("SHOW GLOBAL STATUS LIKE 'Questions'");
    let number = status.split_whitespace().last().and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("the server does not say how many statements it was sent: {status}"))
}
