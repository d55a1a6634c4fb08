//! Load from h2load, and what it cost the server.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    Result,
    host::{self, LOAD_CORE},
};

/// A kind of request, repeated.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// URLs; requests take them in turn.
    pub(crate) urls: Vec<String>,
    pub(crate) connections: u32,
    /// Requests in flight per connection; 0 means HTTP/1.1.
    pub(crate) streams: u32,
    pub(crate) requests: u64,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Option<Vec<u8>>,
    /// The least number of bytes a good answer has. An error is shorter: gRPC errors have HTTP status 200.
    pub(crate) answer: u64,
}

/// What a run gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// CPU time of the server per request, microseconds.
    pub(crate) cpu: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Median latency, microseconds.
    pub(crate) p50: f64,
}

impl Load {
    /// Unary gRPC calls of one constant message.
    pub(crate) fn grpc(url: String, message: &[u8]) -> Self {
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
        body.extend(message);
        Self {
            urls: vec![url],
            connections: 8,
            streams: 16,
            requests: 200_000,
            headers: ["content-type: application/grpc", "te: trailers"].map(str::to_owned).into(),
            body: Some(body),
            answer: 200,
        }
    }

    /// `GET` over HTTP/1.1 keep-alive.
    pub(crate) fn get(urls: Vec<String>) -> Self {
        Self {
            urls,
            connections: 32,
            streams: 0,
            requests: 100_000,
            headers: vec!["accept: application/json".to_owned()],
            body: None,
            answer: 200,
        }
    }

    /// `POST` of one JSON body over HTTP/1.1 keep-alive.
    pub(crate) fn post(url: String, json: String) -> Self {
        Self {
            urls: vec![url],
            connections: 64,
            streams: 0,
            requests: 20_000,
            headers: vec!["content-type: application/json".to_owned()],
            body: Some(json.into_bytes()),
            answer: 50,
        }
    }

    /// As many requests.
    pub(crate) fn requests(mut self, requests: u64) -> Self {
        self.requests = requests;
        self
    }

    /// As many connections.
    pub(crate) fn connections(mut self, connections: u32) -> Self {
        self.connections = connections;
        self
    }

    /// With a header, or metadata of gRPC.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    /// Answers of at least this size.
    pub(crate) fn answer(mut self, bytes: u64) -> Self {
        self.answer = bytes;
        self
    }

    /// A tenth of the load without measuring, then the load.
    pub(crate) fn run(&self, server: u32) -> Result<Outcome> {
        let files = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (urls, body, log) = (files.path().join("urls"), files.path().join("body"), files.path().join("log"));
        fs::write(&urls, self.urls.join("\n")).map_err(|error| error.to_string())?;
        fs::write(&body, self.body.as_deref().unwrap_or_default()).map_err(|error| error.to_string())?;
        self.h2load(self.requests / 10, &urls, &body, None)?;
        let before = host::cpu_micros(server)?;
        let report = self.h2load(self.requests, &urls, &body, Some(&log))?;
        let cpu = (host::cpu_micros(server)? - before) / self.requests as f64;
        Ok(Outcome { cpu, rate: rate(&report)?, p50: p50(&log)? })
    }

    fn h2load(&self, requests: u64, urls: &PathBuf, body: &PathBuf, log: Option<&PathBuf>) -> Result<String> {
        // h2load divides requests among connections and wants at least one for each.
        let requests = requests.max(u64::from(self.connections));
        let mut command = Command::new("taskset");
        command.args(["-c", LOAD_CORE, "h2load", "-t1"]);
        command.args(["-c", &self.connections.to_string(), "-n", &requests.to_string()]);
        match self.streams {
            0 => command.args(["--h1", "-m1"]),
            streams => command.args(["-m", &streams.to_string()]),
        };
        for header in &self.headers {
            command.args(["-H", header]);
        }
        if self.body.is_some() {
            command.arg("-d").arg(body);
        }
        if let Some(log) = log {
            command.arg("--log-file").arg(log);
        }
        let output = command.arg("-i").arg(urls).output().map_err(|error| format!("h2load: {error}"))?;
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        self.check(&report, requests)?;
        Ok(report)
    }

    /// Every request must have been answered, and with an answer of the right size.
    fn check(&self, report: &str, requests: u64) -> Result<()> {
        let all = format!(" {requests} succeeded");
        let bytes = data_bytes(report).unwrap_or(0);
        if !report.contains(&all) || bytes < requests * self.answer {
            return Err(format!("not every request was answered well ({bytes} bytes):\n{report}"));
        }
        Ok(())
    }
}

/// `traffic: 5.06MB (5301200) total, 1.0MB (100) headers (space savings 9%), 3.0MB (4100000) data`
fn data_bytes(report: &str) -> Option<u64> {
    let line = report.lines().find(|line| line.starts_with("traffic:"))?;
    let data = line.rsplit(", ").next()?;
    data.split(['(', ')']).nth(1)?.parse().ok()
}

fn rate(report: &str) -> Result<f64> {
    let rate = between(report, "finished in", " req/s").and_then(|text| text.rsplit(' ').next()?.parse().ok());
    rate.ok_or_else(|| format!("h2load reports no rate:\n{report}"))
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = text.split_once(start)?.1;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// h2load's log: start, status and duration in microseconds, by tab.
fn p50(log: &PathBuf) -> Result<f64> {
    let text = fs::read_to_string(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let durations = text.lines().filter_map(|line| line.rsplit('\t').next()?.parse::<f64>().ok()).collect();
    Ok(host::median(durations))
}
