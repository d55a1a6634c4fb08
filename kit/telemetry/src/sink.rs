//! Where lines go that are written on hot paths: gathered per worker, written by a thread of their own.
//!
//! A worker appends to its own buffer under a lock nobody else holds but for a moment, and wakes the thread only when
//! the buffer was empty. The thread waits a little for more, takes all buffers and writes them. When the output is
//! slower than the lines come, lines are dropped and counted; a worker never waits for the output.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long lines are gathered.
const GATHER: Duration = Duration::from_millis(50);

/// What a worker may have unwritten.
const MAX_BUFFERED: usize = 1 << 20;

/// The output. Dropping it writes what is left.
pub struct Sink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    buffers: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    dirty: AtomicBool,
    ending: AtomicBool,
    dropped: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    /// Starts the thread that writes to `output`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(output: impl Write + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("log-sink".into()).spawn(move || for_thread.run(output))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A buffer of one worker's own.
    pub fn buffer(&self) -> SinkBuffer {
        let buffer = Arc::<Mutex<Vec<u8>>>::default();
        locked(&self.shared.buffers).push(Arc::clone(&buffer));
        let thread = self.thread.as_ref().map(|thread| thread.thread().clone());
        SinkBuffer { buffer, shared: Arc::clone(&self.shared), thread }
    }

    /// Lines dropped because the output was too slow.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, mut output: impl Write) {
        let mut taken = Vec::new();
        loop {
            let is_ending = self.ending.load(Ordering::Acquire);
            if self.dirty.swap(false, Ordering::AcqRel) {
                if !is_ending {
                    std::thread::sleep(GATHER);
                }
                self.write_all(&mut output, &mut taken);
            } else if is_ending {
                return;
            } else {
                std::thread::park();
            }
        }
    }

    fn write_all(&self, output: &mut impl Write, taken: &mut Vec<u8>) {
        let buffers = locked(&self.buffers).clone();
        for buffer in buffers {
            taken.clear();
            std::mem::swap(&mut *locked(&buffer), taken);
            // An output that is gone (a closed pipe) must not end the service.
            let _ = output.write_all(taken);
        }
        let _ = output.flush();
    }
}

/// One worker's way to a [`Sink`].
pub struct SinkBuffer {
    buffer: Arc<Mutex<Vec<u8>>>,
    shared: Arc<Shared>,
    thread: Option<std::thread::Thread>,
}

impl SinkBuffer {
    /// Appends one line, written by `write`, or drops it when too much is unwritten.
    pub fn line(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut buffer = locked(&self.buffer);
        if buffer.len() > MAX_BUFFERED {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = buffer.is_empty();
        write(&mut buffer);
        drop(buffer);
        if was_empty
            && !self.shared.dirty.swap(true, Ordering::AcqRel)
            && let Some(thread) = &self.thread
        {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// An output that shows what it got.
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            locked(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_all_workers_are_written_when_the_sink_ends() {
        let out = Arc::<Mutex<Vec<u8>>>::default();
        let sink = Sink::start(Out(Arc::clone(&out))).unwrap();
        let buffers = [sink.buffer(), sink.buffer()];
        for number in 0..1000 {
            buffers[number % 2].line(|buffer| writeln!(buffer, "line {number}").unwrap());
        }
        drop(sink);
        let text = String::from_utf8(locked(&out).clone()).unwrap();
        assert_eq!(text.lines().count(), 1000);
        assert!(text.contains("line 999\n"));
    }

    /// An output that waits for permission.
    struct Slow(mpsc::Receiver<()>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_hangs_costs_lines_and_not_the_worker() {
        let (go, permission) = mpsc::channel();
        let sink = Sink::start(Slow(permission)).unwrap();
        let buffer = sink.buffer();
        for _ in 0..40 {
            buffer.line(|buffer| buffer.resize(buffer.len() + (64 << 10), b'x'));
        }
        assert!(sink.dropped() > 0);
        drop(go);
    }
}
