//! A child process that cannot outlive its test.
//!
//! ## Three ways a test ends, and who cleans up
//! - It returns or panics: `Drop` kills the child's whole process group and reaps the child.
//! - The test process is killed (`SIGKILL`, out of memory, a CI time limit): no `Drop` runs. The child was started through
//!   `setpriv --pdeathsig KILL`, so the kernel kills it when its parent dies. `setpriv` replaces itself by the program,
//!   so the child's id is the program's.
//! - Ctrl-C in a terminal: the child is in a process group of its own and is not reached by the terminal, but the test
//!   process dies and the second way applies.
//!
//! ## Why children are started on a thread of their own
//! `PR_SET_PDEATHSIG` means the parent *thread*. A test runner ends the thread of each test, which would kill a server that
//! several tests share. One starter thread lives as long as the process.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{Log, PATIENCE};

/// A running child with its log. Killed, with its group, when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Mutex<Child>,
    pid: Pid,
    log: Log,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program; its output goes to the guard's log.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: impl AsRef<Path>, args: &[impl AsRef<OsStr>], env: &[(&str, &str)]) -> Self {
        Self::start_with_log(program, args, env, Log::default())
    }

    /// Like [`Process::start`], continuing a log, so that a restarted server's story stays in one piece.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_with_log(
        program: impl AsRef<Path>,
        args: &[impl AsRef<OsStr>],
        env: &[(&str, &str)],
        log: Log,
    ) -> Self {
        let program = program.as_ref();
        let mut command = bound_to_parent(program, args);
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn(command).unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let stdout = child.stdout.take().map(|stream| log.follow(stream));
        let stderr = child.stderr.take().map(|stream| log.follow(stream));
        let readers = stdout.into_iter().chain(stderr).collect();
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pid = Pid::from_child(&child);
        Self { name, child: Mutex::new(child), pid, log, readers }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// What it wrote so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its exit status, if it has ended.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.lock().try_wait().ok().flatten()
    }

    /// Sends a signal to the process, not to its group.
    pub fn signal(&self, signal: Signal) {
        if self.exited().is_none() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// `SIGTERM`, then waits for the end.
    ///
    /// # Panics
    /// If it is still running after [`PATIENCE`].
    pub fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(PATIENCE).unwrap_or_else(|| panic!("{} ignores SIGTERM\n{}", self.name, self.log.text()))
    }

    /// `SIGKILL` to the whole group, then waits for the end. Its log is whole then.
    pub fn kill9(&self) -> ExitStatus {
        let status = self.kill_group();
        self.read_to_end();
        status
    }

    fn kill_group(&self) -> ExitStatus {
        let mut child = self.lock();
        if let Ok(Some(status)) = child.try_wait() {
            // Reaped: the number may already belong to somebody else, so no signal is sent.
            return status;
        }
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = child.kill();
        child.wait().unwrap_or_else(|error| panic!("cannot wait for {}: {error}", self.name))
    }

    /// Waits for the end, up to `limit`. Once it has ended, its log is whole.
    pub fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exited() {
                self.read_to_end();
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until what an ended child wrote is in the log. Something it started may still hold the pipes open and write to
    /// them, hence a limit.
    fn read_to_end(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        while !self.readers.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if thread::panicking() {
            show_log(&self.name, self.id(), &self.log);
        }
    }
}

/// Prints through the macro that test runners capture.
#[expect(clippy::print_stderr, reason = "a failing test's output is where this belongs")]
fn show_log(name: &str, id: u32, log: &Log) {
    eprintln!("--- log of {name} (process {id})\n{}\n--- end of log", log.text());
}

/// The program, killed by the kernel when this process dies, in a process group of its own.
fn bound_to_parent(program: &Path, args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = if setpriv_works() {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(args).process_group(0);
    command
}

/// `setpriv` is part of util-linux, which Debian cannot be without; elsewhere children merely lose the last safety net.
fn setpriv_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let args: [OsString; 4] = ["--pdeathsig", "KILL", "--", "true"].map(OsString::from);
        Command::new("setpriv").args(args).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    })
}

type Job = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts the command on the starter thread.
fn spawn(command: Command) -> io::Result<Child> {
    static STARTER: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (jobs, inbox) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(jobs)
    });
    let (reply, outcome) = mpsc::channel();
    let gone = || io::Error::other("the starter thread is gone");
    starter.lock().unwrap_or_else(PoisonError::into_inner).send((command, reply)).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())?
}
