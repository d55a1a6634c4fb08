//! One connection to one server, which is made anew whenever it is lost.
//!
//! Requests never wait for a connection: while there is none they fail at once. A task beside them makes the next one, waits
//! longer after each failure, and calls it one when the server has answered on it. A server that is stopped, or cannot be
//! reached any more, is found by the first request that is not answered in time: the connection is given up for all, and
//! whether the server answers is tried by that task alone. So is one that has become a replica.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, RedisConnectionInfo, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use crate::address::{Host, Login, Tls};
use crate::failure::{self, Problem};
use crate::info::{self, Info};
use crate::scripts::{How, Script};
use crate::tls;

/// Between two attempts to connect, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How a server is connected to.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) login: Login,
    pub(crate) database: u16,
    pub(crate) tls: Option<Tls>,
    pub(crate) timeout: Duration,
    /// Replicas are of no use. Those of a cluster say for each request that they are not who should be asked.
    pub(crate) is_primary: bool,
    /// It speaks for the server in the log.
    pub(crate) is_told_of: bool,
}

/// A request.
pub(crate) enum Request {
    Command(Cmd),
    Script { script: &'static Script, keys: Vec<Vec<u8>>, arguments: Vec<Vec<u8>> },
}

/// A connection, or the lack of one.
#[derive(Debug)]
pub(crate) struct Link {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    server: Host,
    way: Arc<Way>,
    state: Mutex<State>,
    /// Somebody has given the connection up.
    lost: Notify,
    /// It came or went.
    changed: Arc<Notify>,
}

#[derive(Debug)]
enum State {
    Up(Up),
    Down(String),
}

#[derive(Debug, Clone)]
struct Up {
    connection: MultiplexedConnection,
    /// Tells connections apart.
    number: u64,
    knows_flags: bool,
    /// Ends what reads and writes, and with it all requests that wait.
    driver: AbortHandle,
}

impl Link {
    /// Begins to connect. `changed` is notified whenever the connection comes or goes.
    pub(crate) fn new(server: Host, way: Arc<Way>, runtime: &Handle, changed: Arc<Notify>) -> Self {
        let state = Mutex::new(State::Down(format!("there is no connection to {server} yet")));
        let shared = Arc::new(Shared { server, way, state, lost: Notify::new(), changed });
        let keeper = runtime.spawn(Arc::clone(&shared).keep());
        Self { shared, keeper }
    }

    /// Why there is no connection, if there is none.
    pub(crate) fn problem(&self) -> Option<String> {
        match &*self.shared.state() {
            State::Up(_) => None,
            State::Down(why) => Some(why.clone()),
        }
    }

    /// Makes a request. `asking`: the hash slot is on its way to this server.
    pub(crate) async fn ask(&self, request: &Request, limit: Duration, asking: bool) -> Result<Value, Problem> {
        let up = match &*self.shared.state() {
            State::Up(up) => up.clone(),
            State::Down(why) => return Err(Problem::Gone(why.clone())),
        };
        let number = up.number;
        match timeout(limit, send(up, &self.shared.server, request, asking)).await {
            Ok(Err(Problem::Gone(why))) => Err(self.shared.lose(number, format!("{}: {why}", self.shared.server))),
            Ok(Err(Problem::Elsewhere(why))) if self.shared.way.is_primary => {
                Err(self.shared.lose(number, format!("{}: {why}", self.shared.server)))
            }
            Ok(answer) => answer,
            Err(_) => Err(self.shared.lose(number, format!("{} gave no answer within {limit:?}", self.shared.server))),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
        self.shared.down("the connection is not needed any more".to_owned());
    }
}

async fn send(mut up: Up, server: &Host, request: &Request, asking: bool) -> Result<Value, Problem> {
    match request {
        Request::Command(command) => one(&mut up.connection, server, command, asking).await,
        Request::Script { script, keys, arguments } => {
            let mut how = How { knows_flags: up.knows_flags, is_whole: false };
            let answer = one(&mut up.connection, server, &script.command(keys, arguments, how), asking).await;
            if !matches!(answer, Err(Problem::Unknown)) {
                return answer;
            }
            how.is_whole = true;
            one(&mut up.connection, server, &script.command(keys, arguments, how), asking).await
        }
    }
}

async fn one(
    connection: &mut MultiplexedConnection,
    server: &Host,
    command: &Cmd,
    asking: bool,
) -> Result<Value, Problem> {
    let answer = if asking {
        // Together, so that nobody's request comes between them.
        let mut both = Pipeline::with_capacity(2);
        both.add_command(redis::cmd("ASKING")).add_command(command.clone());
        let answers = connection.send_packed_commands(&both, 0, 2).await;
        answers.map(|mut answers| answers.pop().unwrap_or_default())
    } else {
        connection.send_packed_command(command).await
    };
    answer.and_then(Value::extract_error).map_err(|error| Problem::of(&error, server))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a connection up, unless there is a newer one.
    fn lose(&self, number: u64, why: String) -> Problem {
        let given_up = {
            let mut state = self.state();
            match &*state {
                State::Up(up) if up.number == number => Some(std::mem::replace(&mut *state, State::Down(why.clone()))),
                State::Up(_) | State::Down(_) => None,
            }
        };
        if let Some(before) = given_up {
            self.left(before);
            self.lost.notify_one();
        }
        Problem::Gone(why)
    }

    fn down(&self, why: String) {
        let before = std::mem::replace(&mut *self.state(), State::Down(why));
        self.left(before);
    }

    fn left(&self, before: State) {
        if let State::Up(up) = before {
            up.driver.abort();
        }
        self.changed.notify_waiters();
    }

    /// Keeps a connection, as long as the link is there.
    async fn keep(self: Arc<Self>) {
        let (mut number, mut pause) = (0, PAUSES.0);
        loop {
            let awaited = Mutex::new("");
            match timeout(self.way.timeout, self.connect(&awaited)).await {
                Ok(Ok((connection, driver, info))) => {
                    pause = PAUSES.0;
                    number += 1;
                    self.tell_of(&info);
                    self.hold(
                        Up { connection, number, knows_flags: info.knows_flags(), driver: driver.abort_handle() },
                        driver,
                    )
                    .await;
                }
                Ok(Err(why)) => self.failed(why),
                Err(_) => {
                    let awaited = *awaited.lock().unwrap_or_else(PoisonError::into_inner);
                    self.failed(format!("no connection within {:?}, waiting for {awaited}", self.way.timeout));
                }
            }
            // Not all at once, when a server comes back.
            let share = rand::random_range(0.5..1.0);
            tokio::time::sleep(pause.mul_f64(share)).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Until the connection is lost.
    async fn hold(&self, up: Up, mut driver: JoinHandle<()>) {
        let number = up.number;
        *self.state() = State::Up(up);
        self.changed.notify_waiters();
        let is_held = || matches!(&*self.state(), State::Up(up) if up.number == number);
        while is_held() {
            tokio::select! {
                _ = &mut driver => {
                    self.lose(number, format!("{} has closed the connection", self.server));
                }
                () = self.lost.notified() => {}
            }
        }
        if self.way.is_told_of {
            tracing::warn!(reason = self.problem(), "the connection to the cache server is lost");
        }
    }

    fn problem(&self) -> String {
        match &*self.state() {
            State::Down(why) => why.clone(),
            State::Up(_) => String::new(),
        }
    }

    fn failed(&self, why: String) {
        let why = format!("{}: {why}", self.server);
        let is_new = !matches!(&*self.state(), State::Down(known) if *known == why);
        if is_new && self.way.is_told_of {
            tracing::warn!(reason = why, "the cache server cannot be connected to");
        }
        self.down(why);
    }

    fn tell_of(&self, info: &Info) {
        if !self.way.is_told_of {
            return;
        }
        let (server, version) = (self.server.to_string(), info.version.as_deref());
        tracing::info!(server, version, maxmemory_policy = info.maxmemory_policy, "connected to the cache server");
        if let Some(advice) = info.advice() {
            tracing::warn!(server, "{advice}");
        }
    }

    /// The error says what failed; `awaited` is what is waited for at the time.
    async fn connect(
        &self,
        awaited: &Mutex<&'static str>,
    ) -> Result<(MultiplexedConnection, JoinHandle<()>, Info), String> {
        let waiting_for = |what| *awaited.lock().unwrap_or_else(PoisonError::into_inner) = what;
        waiting_for("the network");
        let stream = TcpStream::connect((self.server.name.as_str(), self.server.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        // Requests are small, and wait for nothing.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (mut connection, driver) = match &self.way.tls {
            Some(tls) => {
                waiting_for("encryption");
                let stream = tls::encrypt(tls, &self.server, stream).await?;
                waiting_for("the log-in");
                self.log_in(stream).await?
            }
            None => {
                waiting_for("the log-in");
                self.log_in(stream).await?
            }
        };
        waiting_for("an answer");
        match self.examine(&mut connection).await {
            Ok(info) => Ok((connection, driver, info)),
            Err(why) => {
                driver.abort();
                Err(why)
            }
        }
    }

    async fn log_in(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<(MultiplexedConnection, JoinHandle<()>), String> {
        // Requests have limits of their own.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let made = MultiplexedConnection::new_with_config(&self.login(), stream, config).await;
        let (connection, driver) = made.map_err(|error| format!("the log-in failed: {}", failure::text(&error)))?;
        Ok((connection, tokio::spawn(driver)))
    }

    fn login(&self) -> RedisConnectionInfo {
        // Its library's name is nothing that a server's user must have the right to set.
        let info = RedisConnectionInfo::default().set_skip_set_lib_name().set_protocol(ProtocolVersion::RESP2);
        let info = info.set_db(self.way.database.into());
        let info = match &self.way.login.user {
            Some(user) => info.set_username(user),
            None => info,
        };
        match &self.way.login.password {
            Some(password) => info.set_password(password),
            None => info,
        }
    }

    /// Whether the server answers, and what it is.
    async fn examine(&self, connection: &mut MultiplexedConnection) -> Result<Info, String> {
        let mut ask = async |command: Cmd| {
            let answer = connection.send_packed_command(&command).await;
            answer.and_then(Value::extract_error)
        };
        ask(redis::cmd("PING")).await.map_err(|error| failure::text(&error))?;
        if self.way.is_primary {
            let role = ask(redis::cmd("ROLE")).await.unwrap_or_default();
            if let Some(primary) = info::primary_of(&role) {
                return Err(format!("it is a replica of {primary}, which is to be asked in its place"));
            }
        }
        // A server that does not say what it is can be used nevertheless.
        Ok(ask(redis::cmd("INFO")).await.map_or_else(|_| Info::default(), |answer| Info::of(&answer)))
    }
}
