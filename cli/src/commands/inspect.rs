//! `rowkeep cache inspect`: one row in a server's cache, on each replica and on the primary.

use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::block_on;
use crate::args::Inspect;
use crate::failure::Failure;
use crate::output;

/// A replica that is silent takes its time.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer is longer.
const LONGEST: usize = 1 << 20;

/// Fails if the cache has a row that is stale, so that a script can ask.
pub(crate) fn run(args: &Inspect) -> Result<ExitCode, Failure> {
    let (status, text) = block_on(ask(args))?;
    match status {
        200 => {}
        400 | 404 => return Err(Failure::Input(text.trim().to_owned())),
        _ => return Err(Failure::Failed(format!("{}: {}", args.admin, text.trim()))),
    }
    let found: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::Failed(format!("{} answers something else: {error}", args.admin)))?;
    if args.json {
        output::line(format_args!("{found:#}"));
    } else {
        found["layers"].as_array().into_iter().flatten().for_each(line);
        output::line(format_args!("{}", said(&found)));
    }
    Ok(if found["verdict"] == "STALE" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn ask(args: &Inspect) -> Result<(u16, String), Failure> {
    let unreachable = |error: &dyn std::fmt::Display| {
        let message =
            format!("no server shows its metrics at {}: {error}; name its admin_listen with --admin", args.admin);
        Failure::Failed(message)
    };
    let answer = async {
        let tcp = TcpStream::connect(&args.admin).await.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(tcp)).await.map_err(|error| unreachable(&error))?;
        tokio::spawn(connection);
        let path = format!("/cache/{}/{}", args.entity, args.key);
        let request = Request::get(&path).header("host", &args.admin).body(Empty::<Bytes>::new());
        let request = request.map_err(|_| Failure::Input(format!("{path} is no path; write it percent-encoded")))?;
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|error| unreachable(&error))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| Err(unreachable(&"no answer")))
}

fn line(layer: &Value) {
    let text = |field: &str| layer[field].as_str().unwrap_or_default();
    let mut line = format!("{:<8}  {:<11}", text("place"), text("state"));
    for field in ["etag", "digest", "server", "error"] {
        if !text(field).is_empty() {
            line.push_str(&format!("  {}", text(field)));
        }
    }
    if layer["agrees"] == false {
        line.push_str("  another than the primary's");
    }
    output::line(line.trim_end());
}

/// What it comes to.
fn said(found: &Value) -> &'static str {
    match found["verdict"].as_str().unwrap_or_default() {
        "coherent" => "coherent: memory says what the primary says, or dropped it when it was told",
        "behind" => "behind: the log has not told the primary's change yet",
        "STALE" => "STALE: memory lacks a change that was told; please report this",
        "not kept" => "memory has no such entry",
        "not cached" => "rows of this entity are not cached",
        "no cache" => "this server has no cache",
        _ => "the primary does not answer, so nothing can be said",
    }
}
