//! What a child process writes to standard output and standard error, kept in memory line by line.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A shared, growing log. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Log {
    /// Reads lines until the stream ends, on a thread of its own.
    pub(crate) fn follow(&self, stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
                log.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        })
    }

    fn push(&self, line: String) {
        self.lock().push(line);
        self.shared.grown.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of lines so far: a mark for [`Log::wait_for`].
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.lock().join("\n")
    }

    /// The first line from line `from` on for which `pick` answers, waiting up to `limit` for it to be written.
    pub fn wait_for<T>(&self, from: usize, limit: Duration, mut pick: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut seen = from;
        let mut lines = self.lock();
        loop {
            for line in lines.iter().skip(seen) {
                if let Some(found) = pick(line) {
                    return Some(found);
                }
            }
            seen = lines.len().max(seen);
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = self.shared.grown.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
